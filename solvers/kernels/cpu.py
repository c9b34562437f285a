"""The CPU backend: Numba loops over samples, a whole V-cycle of one sample without leaving the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvers.kernels import loops
from solvers.kernels.structures import AxisTransfer, Levels, Links
from solvers.kernels.threads import over_batch

__all__ = [
    "apply",
    "conjugate_gradients",
    "correct",
    "full_multigrid",
    "jacobi",
    "prolong",
    "red_black",
    "residual",
    "restrict",
]


def apply(links: Links, u: Tensor) -> Tensor:
    out = torch.empty_like(u, memory_format=torch.contiguous_format)
    over_batch(loops.apply_batch, u.shape[0], _links(links), _field(u), _field(out))
    return out


def residual(links: Links, b: Tensor, u: Tensor) -> Tensor:
    return b - apply(links, u)


def jacobi(links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
    return _relax(links, b, u, omega, reverse=False)


def red_black(links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
    return _relax(links, b, u, 0.0, reverse)


def prolong(transfers: Sequence[AxisTransfer], coarse: Tensor) -> Tensor:
    fine = coarse.new_zeros(coarse.shape[0], *(t.index.shape[0] for t in transfers))
    index, weight = _tables([transfers], fine.dtype, 2)
    over_batch(loops.prolong_batch, coarse.shape[0], index[0], weight[0], _field(coarse), _field(fine))
    return fine


def restrict(transfers: Sequence[AxisTransfer], fine: Tensor) -> Tensor:
    coarse = fine.new_empty(fine.shape[0], *(t.coarse for t in transfers))
    index, weight = _tables([[t.transposed for t in transfers]], fine.dtype, 4)
    over_batch(loops.restrict_batch, fine.shape[0], index[0], weight[0], _field(fine), _field(coarse))
    return coarse


def correct(levels: Levels, r: Tensor) -> Tensor:
    packed = levels.prepare("cpu", _Packed)
    out = torch.empty_like(r, memory_format=torch.contiguous_format)
    tables = (*packed.linear, *packed.transposed)
    over_batch(loops.correct_batch, r.shape[0], *packed.hierarchy, *tables, *packed.smoothing, _flat(r), _flat(out))
    return out


def full_multigrid(levels: Levels, b: Tensor, cycles: int) -> Tensor:
    packed = levels.prepare("cpu", _Packed)
    out = torch.empty_like(b, memory_format=torch.contiguous_format)
    tables = (*packed.linear, *packed.transposed, *packed.cubic)
    arguments = (*packed.hierarchy, *tables, *packed.smoothing, cycles, _flat(b), _flat(out))
    over_batch(loops.full_multigrid_batch, b.shape[0], *arguments)
    return out


def conjugate_gradients(
    links: Links, levels: Levels, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Preconditioned CG from the residual r, at most ``limit (batch)`` steps: new x, status (−1: none), steps."""
    packed = levels.prepare("cpu", _Packed)
    out = x.clone(memory_format=torch.contiguous_format)
    status, steps = torch.full_like(limit, -1, dtype=torch.int8), torch.zeros_like(limit, dtype=torch.int32)
    tables = (*packed.linear, *packed.transposed, *packed.smoothing)
    systems = (_field(r), goal.numpy(), limit.numpy(), _field(out), status.numpy(), steps.numpy())
    over_batch(loops.conjugate_gradients_batch, x.shape[0], _links(links), *packed.hierarchy, *tables, *systems)
    return out, status, steps


class _Packed:
    """A hierarchy in a few flat buffers, so that one compiled function serves every number of levels."""

    def __init__(self, levels: Levels) -> None:
        data = [level.links.data for level in levels.levels]
        batch, dtype = data[0].shape[0], data[0].dtype
        shapes = np.array([_padded(part.shape[2:]) for part in data], dtype=np.int64)
        starts = np.concatenate([[0], shapes.prod(axis=1).cumsum()[:-1]]).astype(np.int64)
        flat = torch.cat([part.reshape(batch, -1) for part in data], dim=1)
        self.hierarchy = (flat.numpy(), data[0].shape[1], levels.coarse_inverse.contiguous().numpy(), shapes, starts)
        self.linear = _tables([level.linear for level in levels.levels[:-1]], dtype, 2)
        self.transposed = _tables([[t.transposed for t in level.linear] for level in levels.levels[:-1]], dtype, 4)
        self.cubic = _tables([level.cubic for level in levels.levels[:-1]], dtype, 4)
        self.smoothing = (levels.smoothing.pre, levels.smoothing.post, levels.smoothing.omega or 0.0)


def _relax(links: Links, b: Tensor, u: Tensor, omega: float, reverse: bool) -> Tensor:
    out = u.clone(memory_format=torch.contiguous_format)
    over_batch(loops.relax_batch, u.shape[0], _links(links), _field(b), omega, reverse, _field(out))
    return out


def _tables(levels: Sequence[Sequence[AxisTransfer]], dtype: torch.dtype, width: int) -> tuple[Any, Any]:
    """Per-axis tables of all levels in two arrays ``(levels, 3, points, width)``; an axis of length 1 keeps its value."""
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


def _links(links: Links) -> Any:
    data = links.data
    return data.reshape(*data.shape[:2], *_padded(data.shape[2:])).contiguous().numpy()


def _field(u: Tensor) -> Any:
    return u.detach().contiguous().reshape(u.shape[0], *_padded(u.shape[1:])).numpy()


def _flat(u: Tensor) -> Any:
    return u.detach().contiguous().reshape(u.shape[0], -1).numpy()


def _padded(grid: Sequence[int]) -> tuple[int, ...]:
    return (1,) * (3 - len(grid)) + tuple(grid)
