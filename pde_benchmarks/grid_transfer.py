"""Move fields between uniform grids of different resolution, with every value at its true place."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import axis_points
from pde_benchmarks.problem import Grid

__all__ = ["inject", "interpolate", "mean_of_blocks", "refinement_ratio"]


def refinement_ratio(fine: Grid, coarse: Grid) -> int:
    """How many fine intervals make a coarse one.

    Raises
    ------
    ProblemError
        If the ratio is not the same whole number on every axis.
    """
    pairs = zip(fine.shape, coarse.shape, strict=True)
    intervals = [(_intervals(f, fine.alignment), _intervals(c, coarse.alignment)) for f, c in pairs]
    ratios = {f // c if c and f % c == 0 else 0 for f, c in intervals}
    if len(ratios) != 1 or 0 in ratios:
        raise ProblemError(
            f"grid {fine.shape} is not a whole refinement of grid {coarse.shape} ({fine.alignment} points)."
        )
    return ratios.pop()


def inject(field: Tensor, ratio: int, alignment: str) -> Tensor:
    """Keep every ``ratio``-th node (vertex, interior, left-node grids) of ``(batch, channel, *grid)``."""
    start = ratio - 1 if alignment == "interior" else 0
    index: tuple[Any, ...] = (..., *[slice(start, None, ratio)] * (field.ndim - 2))
    return field[index]


def mean_of_blocks(field: Tensor, ratio: int, geometric: bool = False) -> Tensor:
    """Mean over blocks of ``ratio`` cells per axis, perhaps geometric, of ``(batch, channel, *grid)``.

    Raises
    ------
    ProblemError
        If an axis is not a whole number of blocks.
    """
    for size in field.shape[2:]:
        if size % ratio:
            raise ProblemError(
                f"grid of {size} cells is no whole number of blocks of {ratio}: use a multiple of {ratio}."
            )
    values = field.log() if geometric else field
    for axis in range(2, field.ndim):
        values = values.unflatten(axis, (-1, ratio)).mean(axis + 1)
    return values.exp() if geometric else values


def interpolate(field: Tensor, source: Grid, target: Grid) -> Tensor:
    """Cubic-spline interpolation from ``source`` points to ``target`` points.

    The boundary value of a Dirichlet side is a node of the spline at its true place (0 or 1), beyond a Neumann side the
    field is continued evenly, on a periodic axis periodically, so that the order does not drop at the sides.

    Parameters
    ----------
    field
        Shape ``(batch, channel, *source.shape)``.

    Returns
    -------
    Tensor
        Shape ``(batch, channel, *target.shape)``, same dtype and device.
    """
    for axis in range(source.dim):
        matrix = spline_matrix(
            source.shape[axis], source.alignment, source.sides[axis], target.shape[axis], target.alignment
        )
        moved = torch.tensordot(field, matrix.to(field), dims=([axis + 2], [1]))
        field = torch.movedim(moved, -1, axis + 2)
    return field.contiguous()


@lru_cache(maxsize=64)
def spline_matrix(
    source: int, source_alignment: str, sides: tuple[str, str], target: int, target_alignment: str
) -> Tensor:
    """Matrix ``(target, source)``, float64, of the cubic spline through the source points read at the target points."""
    from scipy.interpolate import CubicSpline

    nodes, values = axis_points(source, source_alignment).numpy(), np.eye(source)
    parts = [(nodes, values)]
    for end, condition, period in ((0.0, sides[0], -1.0), (1.0, sides[1], 1.0)):
        match condition:
            case "dirichlet":
                parts.append((np.array([end]), np.zeros((1, source))))
            case "neumann":
                parts.append((2 * end - nodes, values))
            case "periodic":
                parts.append((nodes + period, values))
    every, rows = np.concatenate([part[0] for part in parts]), np.vstack([part[1] for part in parts])
    _, first = np.unique(np.round(every, 12), return_index=True)  # a node on the side is its own image
    spline = CubicSpline(every[first], rows[first], axis=0)
    return torch.from_numpy(spline(axis_points(target, target_alignment).numpy()))


def _intervals(count: int, alignment: str) -> int:
    intervals = {"cell": count, "left": count, "vertex": count - 1, "interior": count + 1}
    if alignment not in intervals:
        raise ProblemError(
            f"grid points of {alignment} alignment cannot be placed: say cell, vertex, interior or left."
        )
    return intervals[alignment]
