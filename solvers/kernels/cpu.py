"""The CPU backend: Numba loops over samples, a whole V-cycle of one sample without leaving the cache.

`solvers.kernels.reference` says what each function means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from solvers.kernels import loops
from solvers.kernels.packing import Systems, nest, pack, padded, tables
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
    """A u."""
    out = torch.empty_like(u, memory_format=torch.contiguous_format)
    over_batch(loops.apply_batch, u.shape[0], _links(links), _field(u), _field(out))
    return out


def residual(links: Links, b: Tensor, u: Tensor) -> Tensor:
    """b − A u."""
    return b - apply(links, u)


def jacobi(links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
    """One damped Jacobi sweep."""
    return _relax(links, b, u, omega, reverse=False)


def red_black(links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
    """One red-black Gauss-Seidel sweep."""
    return _relax(links, b, u, 0.0, reverse)


def prolong(transfers: Sequence[AxisTransfer], coarse: Tensor) -> Tensor:
    """Interpolate along every axis."""
    fine = coarse.new_zeros(coarse.shape[0], *(t.index.shape[0] for t in transfers))
    index, weight = tables([transfers], fine.dtype, 2)
    over_batch(loops.prolong_batch, coarse.shape[0], index[0], weight[0], _field(coarse), _field(fine))
    return fine


def restrict(transfers: Sequence[AxisTransfer], fine: Tensor) -> Tensor:
    """The transpose of `prolong`."""
    coarse = fine.new_empty(fine.shape[0], *(t.coarse for t in transfers))
    index, weight = tables([[t.transposed for t in transfers]], fine.dtype, 4)
    over_batch(loops.restrict_batch, fine.shape[0], index[0], weight[0], _field(fine), _field(coarse))
    return coarse


def correct(levels: Levels, r: Tensor) -> Tensor:
    """One V-cycle from zero."""
    out = torch.empty_like(r, memory_format=torch.contiguous_format)
    over_batch(loops.correct_batch, r.shape[0], levels.prepare("cpu", pack), _flat(r), _flat(out))
    return out


def full_multigrid(levels: Levels, b: Tensor, cycles: int) -> Tensor:
    """Nested iteration."""
    out = torch.empty_like(b, memory_format=torch.contiguous_format)
    packed, nesting = levels.prepare("cpu", pack), levels.prepare("cpu nesting", nest)
    over_batch(loops.full_multigrid_batch, b.shape[0], packed, nesting, cycles, _flat(b), _flat(out))
    return out


def conjugate_gradients(
    links: Links, levels: Levels, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Preconditioned CG from the residual r, at most ``limit (batch)`` steps: new x, status (−1: none), steps."""
    out = x.clone(memory_format=torch.contiguous_format)
    status, steps = torch.full_like(limit, -1, dtype=torch.int8), torch.zeros_like(limit, dtype=torch.int32)
    systems = Systems(_field(r), goal.numpy(), limit.numpy(), _field(out), status.numpy(), steps.numpy())
    packed = levels.prepare("cpu", pack)
    over_batch(loops.conjugate_gradients_batch, x.shape[0], _links(links), packed, systems)
    return out, status, steps


def _relax(links: Links, b: Tensor, u: Tensor, omega: float, reverse: bool) -> Tensor:
    out = u.clone(memory_format=torch.contiguous_format)
    over_batch(loops.relax_batch, u.shape[0], _links(links), _field(b), omega, reverse, _field(out))
    return out


def _links(links: Links) -> Any:
    data = links.data
    return data.reshape(*data.shape[:2], *padded(data.shape[2:])).contiguous().numpy()


def _field(u: Tensor) -> Any:
    return u.detach().contiguous().reshape(u.shape[0], *padded(u.shape[1:])).numpy()


def _flat(u: Tensor) -> Any:
    return u.detach().contiguous().reshape(u.shape[0], -1).numpy()
