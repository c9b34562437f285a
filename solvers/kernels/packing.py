"""Tensors as the compiled loops take them: flat buffers and tables in a few named tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from solvers.kernels.structures import AxisTransfer, Levels

__all__ = ["Hierarchy", "Nesting", "Systems", "nest", "pack", "padded", "tables"]

Array = np.ndarray[Any, Any]


class Hierarchy(NamedTuple):
    """All levels in flat buffers, so that one compiled function serves every number of them.

    `data` ``(batch, parts · points)`` holds the links of all levels, `starts` and `shapes` where their points are,
    `inverse` the coarsest inverses; `up` and `down` are the tables of prolongation and restriction, level by level.
    """

    data: Array
    parts: int
    inverse: Array
    shapes: Array
    starts: Array
    up_index: Array
    up_weight: Array
    down_index: Array
    down_weight: Array
    pre: int
    post: int
    omega: float


class Nesting(NamedTuple):
    """The further tables of nested iteration."""

    source_index: Array
    source_weight: Array
    cubic_index: Array
    cubic_weight: Array


class Systems(NamedTuple):
    """First residuals, goals ‖r‖ and step limits in; solutions (updated), statuses and steps out."""

    residual: Array
    goal: Array
    limit: Array
    x: Array
    status: Array
    steps: Array


def pack(levels: Levels) -> Hierarchy:
    """The levels in flat buffers."""
    data = [level.links.data for level in levels.levels]
    batch, dtype, finer = data[0].shape[0], data[0].dtype, levels.levels[:-1]
    shapes = np.array([padded(part.shape[2:]) for part in data], dtype=np.int64)
    starts = np.concatenate([[0], shapes.prod(axis=1).cumsum()[:-1]]).astype(np.int64)
    flat = torch.cat([part.reshape(batch, -1) for part in data], dim=1).numpy()
    inverse = levels.coarse_inverse.contiguous().numpy()
    up = tables([level.linear for level in finer], dtype, 2)
    down = tables([[t.transposed for t in level.linear] for level in finer], dtype, 4)
    smoothing = levels.smoothing
    pre, post, omega = smoothing.pre, smoothing.post, smoothing.omega or 0.0
    return Hierarchy(flat, data[0].shape[1], inverse, shapes, starts, *up, *down, pre, post, omega)


def nest(levels: Levels) -> Nesting:
    """The tables of nested iteration."""
    dtype, finer = levels.coarse_inverse.dtype, levels.levels[:-1]
    source = tables([[t.transposed for t in level.source] for level in finer], dtype, 4)
    return Nesting(*source, *tables([level.cubic for level in finer], dtype, 4))


def tables(levels: Sequence[Sequence[AxisTransfer]], dtype: torch.dtype, width: int) -> tuple[Any, Any]:
    """Per-axis tables of all levels, two arrays ``(levels, 3, points, width)``; a leading axis of length 1 is kept."""
    points = max((t.index.shape[0] for level in levels for t in level), default=1)
    index = torch.zeros(len(levels), 3, points, width, dtype=torch.int64)
    weight = torch.zeros(len(levels), 3, points, width, dtype=dtype)
    for row, level in enumerate(levels):
        weight[row, : 3 - len(level), 0, 0] = 1
        for axis, transfer in enumerate(level, start=3 - len(level)):
            n, own = transfer.index.shape
            index[row, axis, :n, :own] = transfer.index
            weight[row, axis, :n, :own] = transfer.weight
    return index.numpy().astype(np.uint32), weight.numpy()


def padded(grid: Sequence[int]) -> tuple[int, ...]:
    """The grid with leading axes of length 1, three in all."""
    return (1,) * (3 - len(grid)) + tuple(grid)
