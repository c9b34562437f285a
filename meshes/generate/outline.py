"""Plane regions by their boundary: closed loops of labelled pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError

__all__ = ["Loop", "arc", "circle", "ellipse", "polygon"]

Array = NDArray[Any]

# Points on a full turn of a curve: its polygon leaves the circle by 5e-7 of the radius.
_FINE = 3200


@dataclass(frozen=True)
class Loop:
    """A closed curve made of pieces, one after the other; the corners between pieces become nodes.

    Attributes
    ----------
    names
        Name of each piece; pieces of one name form one boundary set.
    pieces
        Points ``(k, 2)`` along each piece, fine enough to stand for the curve; each starts where the one before ends.

    Raises
    ------
    MeshError
        Pieces that do not meet, or that are no lists of points in the plane.

    Examples
    --------
    >>> Loop.of({"base": [[0, 0], [1, 0]], "rest": [[1, 0], [0, 1], [0, 0]]}).names
    ('base', 'rest')
    """

    names: tuple[str, ...]
    pieces: tuple[Array, ...]

    def __post_init__(self) -> None:
        for name, piece in zip(self.names, self.pieces, strict=True):
            if piece.ndim != 2 or piece.shape[1] != 2 or len(piece) < 2 or not np.isfinite(piece).all():
                raise MeshError(f"piece {name!r} of shape {piece.shape}: expected at least two finite points (k, 2).")
        size = np.ptp(np.concatenate(self.pieces), axis=0).max()
        for i, piece in enumerate(self.pieces):
            gap = np.linalg.norm(piece[0] - self.pieces[i - 1][-1])
            if gap > 1e-9 * size:
                raise MeshError(
                    f"piece {self.names[i]!r} starts at ({piece[0, 0]:.4g}, {piece[0, 1]:.4g}), {gap:.3g} away from "
                    f"the end of {self.names[i - 1]!r}: pieces of a loop must meet."
                )

    @classmethod
    def of(cls, pieces: dict[str, ArrayLike]) -> Loop:
        """A loop of pieces with different names, in their order."""
        return cls(tuple(pieces), tuple(np.asarray(piece, dtype=np.float64) for piece in pieces.values()))

    @property
    def points(self) -> Array:
        """All points ``(k, 2)`` along the loop, once each."""
        return np.concatenate([piece[:-1] for piece in self.pieces])


def polygon(corners: ArrayLike, names: str | Sequence[str]) -> Loop:
    """Straight sides between corners ``(k, 2)``; one name for all, or one for each side.

    Examples
    --------
    >>> polygon([[0, 0], [1, 0], [0, 1]], ["base", "slope", "wall"]).pieces[1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    points = np.asarray(corners, dtype=np.float64)
    labels = (names,) * len(points) if isinstance(names, str) else tuple(names)
    if points.ndim != 2 or len(points) < 3 or len(labels) != len(points):
        raise MeshError(f"polygon with corners {points.shape} and {len(labels)} names: expected (k ≥ 3, 2) and k.")
    return Loop(labels, tuple(np.stack([points[i], points[(i + 1) % len(points)]]) for i in range(len(points))))


def arc(center: ArrayLike, semi_axes: tuple[float, float], start: float, end: float) -> Array:
    """Points ``(k, 2)`` of an elliptic arc between two angles, in radian."""
    count = max(2, int(np.ceil(_FINE * abs(end - start) / (2 * np.pi))) + 1)
    t = np.linspace(start, end, count)
    return np.asarray(center, dtype=np.float64) + np.column_stack([np.cos(t), np.sin(t)]) * semi_axes


def ellipse(center: ArrayLike, semi_axes: tuple[float, float], name: str, angle: float = 0.0) -> Loop:
    """An ellipse, turned by an angle in radian; four pieces of one name, so that the vertices of its axes are nodes.

    Examples
    --------
    >>> ellipse([0, 0], (2.0, 1.0), "hole").points.max(axis=0).tolist()
    [2.0, 1.0]
    """
    if min(semi_axes) <= 0:
        raise MeshError(f"ellipse with semi-axes {semi_axes}: expected positive lengths.")
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.asarray(center, dtype=np.float64)
    quarters = [arc([0.0, 0.0], semi_axes, q * np.pi / 2, (q + 1) * np.pi / 2) @ turn + middle for q in range(4)]
    return Loop((name,) * 4, tuple(quarters))


def circle(center: ArrayLike, radius: float, name: str) -> Loop:
    """A circle."""
    return ellipse(center, (radius, radius), name)
