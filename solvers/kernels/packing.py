"""Tensors as the compiled loops take them: flat buffers and tables in a few named tuples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from solvers.kernels.nesting import AxisTransfer
from solvers.kernels.structures import Interpolation, Levels, Taps

__all__ = [
    "Hierarchy",
    "Nesting",
    "PackedTaps",
    "Steps",
    "Systems",
    "nest",
    "pack",
    "pack_steps",
    "pack_taps",
    "padded",
]

Array = np.ndarray[Any, Any]


class PackedTaps(NamedTuple):
    """`Taps` of three axes: ``shift (q, 3)``, the rest ``(q)``, and ``periodic (3)``."""

    shift: Array
    part: Array
    sign: Array
    moved: Array
    periodic: Array


class Steps(NamedTuple):
    """Interpolations along one axis each: their weights in one array ``(batch, …)``, and a row for each in `table`.

    A row holds where its weights start, the fine and the coarse number of points, the number of points in the axes
    before and behind, whether they are vertices, and whether the axis is periodic.
    """

    weights: Array
    table: Array


class Hierarchy(NamedTuple):
    """All levels in flat buffers, so that one compiled function serves every number of them.

    `data` ``(batch, parts · points)`` holds the links of all levels, `starts` and `shapes` where their points are,
    `inverse` the coarsest inverses. The steps of level l are those from ``first[l]`` to ``first[l + 1]``, and `half`
    the most points that a field has between two of them.
    """

    data: Array
    parts: int
    inverse: Array
    shapes: Array
    starts: Array
    steps: Steps
    first: Array
    half: int
    pre: int
    post: int
    omega: float


class Nesting(NamedTuple):
    """The tables of nested iteration ``(levels, 3, points, 4)``."""

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


@lru_cache(maxsize=256)
def pack_taps(taps: Taps) -> PackedTaps:
    """The taps on three axes, the leading ones of length 1."""
    missing = 3 - len(taps.periodic)
    shift = np.array([(0,) * missing + step for step in taps.shift], dtype=np.int64).reshape(-1, 3)
    part, sign, moved = np.array(taps.part, np.int64), np.array(taps.sign, np.float64), np.array(taps.moved, np.bool_)
    return PackedTaps(shift, part, sign, moved, np.array((False,) * missing + taps.periodic, np.bool_))


def pack(levels: Levels) -> Hierarchy:
    """The levels in flat buffers."""
    data = [level.links.data for level in levels.levels]
    finer = levels.levels[:-1]
    shapes = np.array([padded(part.shape[2:]) for part in data], dtype=np.int64)
    starts = np.concatenate([[0], shapes.prod(axis=1).cumsum()[:-1]]).astype(np.int64)
    flat = torch.cat([part.flatten(1) for part in data], dim=1).numpy()
    inverse = levels.coarse_inverse.contiguous().numpy()
    steps = pack_steps([step for level in finer for step in level.steps], levels.coarse_inverse)
    first = np.cumsum([0] + [len(level.steps) for level in finer]).astype(np.int64)
    half = max((_between(level.steps) for level in finer), default=0)
    smoothing = levels.smoothing
    sweeps = smoothing.pre, smoothing.post, smoothing.omega or 0.0
    return Hierarchy(flat, data[0].shape[1], inverse, shapes, starts, steps, first, half, *sweeps)


def pack_steps(steps: Sequence[Interpolation], like: torch.Tensor) -> Steps:
    """Interpolations of one batch, with weights of the dtype of `like`."""
    rows, weights, start = [], [], 0
    for step in steps:
        n, behind = step.grid[step.axis], int(np.prod(step.grid[step.axis + 1 :]))
        before = int(np.prod(step.grid[: step.axis]))
        rows.append([start, n, step.coarse, before, behind, step.alignment == "vertex", step.periodic])
        weights.append(step.weight.reshape(step.weight.shape[0], -1))
        start += before * n * behind
    flat = torch.cat(weights, 1) if weights else like.new_zeros(1, 0)
    return Steps(flat.numpy(), np.array(rows, dtype=np.int64).reshape(-1, 7))


def nest(levels: Levels) -> Nesting:
    """The tables of nested iteration."""
    dtype, finer = levels.coarse_inverse.dtype, levels.levels[:-1]
    source = _tables([[t.transposed for t in level.source] for level in finer], dtype)
    return Nesting(*source, *_tables([level.cubic for level in finer], dtype))


def padded(grid: Sequence[int]) -> tuple[int, ...]:
    """The grid with leading axes of length 1, three in all."""
    return (1,) * (3 - len(grid)) + tuple(grid)


def _between(steps: Sequence[Interpolation]) -> int:
    """The most points of a field between two steps."""
    return max((int(np.prod(step.grid)) for step in steps[1:]), default=0)


def _tables(levels: Sequence[Sequence[AxisTransfer]], dtype: torch.dtype) -> tuple[Array, Array]:
    """Per-axis tables of all levels, two arrays ``(levels, 3, points, 4)``; a leading axis of length 1 is kept."""
    points = max((t.index.shape[0] for level in levels for t in level), default=1)
    index = torch.zeros(len(levels), 3, points, 4, dtype=torch.int64)
    weight = torch.zeros(len(levels), 3, points, 4, dtype=dtype)
    for row, level in enumerate(levels):
        for axis, transfer in enumerate(level, start=3 - len(level)):
            n, own = transfer.index.shape
            index[row, axis, :n, :own] = transfer.index
            weight[row, axis, :n, :own] = transfer.weight
    return index.numpy().astype(np.uint32), weight.numpy()
