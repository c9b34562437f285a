"""Nodes along the boundary of a region, spaced by the size function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.generate.outline import Loop

__all__ = ["SampledBoundary", "refine_edges", "sample_boundary"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SampledBoundary:
    """Boundary nodes and the edges between them.

    Attributes
    ----------
    points
        ``(n, 2)``.
    edges
        ``(e, 2)`` node numbers, along the loops.
    piece
        ``(e,)`` number of the piece of each edge, counted through the loops.
    places
        ``(e, 2)`` arc length along its piece at both ends.
    """

    points: Array
    edges: Array
    piece: Array
    places: Array


def sample_boundary(loops: Sequence[Loop], size: Callable[[Array], Array]) -> SampledBoundary:
    """Every piece cut into edges of the wanted length: equal parts of ∫ ds/h, their ends fixed.

    The number of edges of a piece is that integral, rounded, and at least one.
    """
    points, edges, piece, places = [], [], [], []
    start = number = 0
    for loop in loops:
        first = start
        for curve in loop.pieces:
            length = _arc_length(curve)
            fine = np.unique(np.concatenate([length, np.linspace(0, length[-1], 1000)]))
            density = 1.0 / size(_along(curve, length, fine))
            steps = 0.5 * (density[1:] + density[:-1]) * np.diff(fine)
            progress = np.concatenate([[0.0], np.cumsum(steps)])
            count = max(1, round(progress[-1]))
            at = np.interp(np.linspace(0, progress[-1], count + 1), progress, fine)
            points.append(_along(curve, length, at[:-1]))
            edges.append(start + np.column_stack([np.arange(count), np.arange(1, count + 1)]))
            piece.append(np.full(count, number))
            places.append(np.column_stack([at[:-1], at[1:]]))
            start, number = start + count, number + 1
        edges[-1][-1, 1] = first
    return SampledBoundary(*(np.concatenate(parts) for parts in (points, edges, piece, places)))


def refine_edges(loops: Sequence[Loop], sampled: SampledBoundary, chosen: Array) -> SampledBoundary:
    """The boundary with the edges `chosen` ``(k,)`` cut in two; new nodes come last, on the curves themselves."""
    curves = [curve for loop in loops for curve in loop.pieces]
    middle = sampled.places[chosen].mean(axis=1)
    new = np.zeros((len(chosen), 2))
    for number in np.unique(sampled.piece[chosen]):
        on = sampled.piece[chosen] == number
        new[on] = _along(curves[number], _arc_length(curves[number]), middle[on])
    ids = len(sampled.points) + np.arange(len(chosen))
    rest = np.setdiff1d(np.arange(len(sampled.edges)), chosen)
    edges, places = sampled.edges[chosen], sampled.places[chosen]
    return SampledBoundary(
        np.concatenate([sampled.points, new]),
        np.concatenate([sampled.edges[rest], np.column_stack([edges[:, 0], ids]), np.column_stack([ids, edges[:, 1]])]),
        np.concatenate([sampled.piece[rest], sampled.piece[chosen], sampled.piece[chosen]]),
        np.concatenate(
            [
                sampled.places[rest],
                np.column_stack([places[:, 0], middle]),
                np.column_stack([middle, places[:, 1]]),
            ]
        ),
    )


def _arc_length(curve: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])


def _along(curve: Array, length: Array, at: Array) -> Array:
    return np.column_stack([np.interp(at, length, curve[:, axis]) for axis in (0, 1)])
