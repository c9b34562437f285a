"""The CPU backend: Numba loops over samples, a whole V-cycle of one sample without leaving the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvers.kernels import aggregation_loops, csr_loops, loops, stencil_loops, triangular_loops
from solvers.kernels.aggregation import AggregationLevels
from solvers.kernels.aggregation_packing import pack_aggregates
from solvers.kernels.packing import Systems, nest, pack, pack_steps, pack_taps, padded
from solvers.kernels.reference import Reference
from solvers.kernels.structures import Interpolation, Levels, Links, Taps
from solvers.kernels.threads import over_batch
from solvers.kernels.triangular import Triangles

__all__ = ["CPU"]

#: Points below which a thread of its own costs more than it saves.
_THREAD = 2**14


class CPU(Reference):
    """`Reference` says what each function means."""

    has_conjugate_gradients = True

    def stencil(self, taps: Taps, data: Tensor, x: Tensor) -> Tensor:
        out, field = torch.empty_like(x, memory_format=torch.contiguous_format), _field(x)
        if x.numel() == 0:
            return out
        _, n0, n1, n2 = field.shape
        pieces = field.shape[0] * n0 * stencil_loops.blocks(n1, n2)
        least = -(-_THREAD * pieces // x.numel())
        arguments = pack_taps(taps), _parts(data), field, _field(out)
        over_batch(stencil_loops.product_batch, pieces, *arguments, least=max(least, 1))
        return out

    def apply(self, links: Links, u: Tensor) -> Tensor:
        return self.stencil(Taps.of_links(len(links.grid)), links.data, u)

    def jacobi(self, links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
        return _relax(links, b, u, omega, reverse=False)

    def red_black(self, links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
        return _relax(links, b, u, 0.0, reverse)

    def prolong(self, steps: Sequence[Interpolation], coarse: Tensor) -> Tensor:
        fine = coarse.new_empty(coarse.shape[0], *steps[0].grid)
        over_batch(loops.prolong_batch, coarse.shape[0], pack_steps(steps, coarse), _flat(coarse), _flat(fine))
        return fine

    def restrict(self, steps: Sequence[Interpolation], fine: Tensor) -> Tensor:
        sizes = list(fine.shape)
        for step in steps:
            sizes[step.axis + 1] = step.coarse
        coarse = fine.new_empty(sizes)
        over_batch(loops.restrict_batch, fine.shape[0], pack_steps(steps, fine), _flat(fine), _flat(coarse))
        return coarse

    def correct(self, levels: Levels, r: Tensor, start: int = 0) -> Tensor:
        if start:
            return super().correct(levels, r, start)
        out = torch.empty_like(r, memory_format=torch.contiguous_format)
        over_batch(loops.correct_batch, r.shape[0], levels.prepare("cpu", pack), _flat(r), _flat(out))
        return out

    def full_multigrid(self, levels: Levels, b: Tensor, cycles: int) -> Tensor:
        out = torch.empty_like(b, memory_format=torch.contiguous_format)
        packed, nesting = levels.prepare("cpu", pack), levels.prepare("cpu nesting", nest)
        over_batch(loops.full_multigrid_batch, b.shape[0], packed, nesting, cycles, _flat(b), _flat(out))
        return out

    def aggregation_cycle(self, levels: AggregationLevels, r: Tensor) -> Tensor:
        out = torch.empty_like(r, memory_format=torch.contiguous_format)
        packed = levels.prepare("cpu", pack_aggregates)
        over_batch(aggregation_loops.cycle_batch, r.shape[0], packed, _flat(r), _flat(out))
        return out

    def aggregation_conjugate_gradients(
        self, links: Links, levels: AggregationLevels, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`conjugate_gradients` with cycles over blocks of cells."""
        out, systems = _systems(_field, x, r, goal, limit)
        packed = levels.prepare("cpu", pack_aggregates)
        over_batch(aggregation_loops.conjugate_gradients_batch, x.shape[0], _parts(links.data), packed, systems)
        return out

    def conjugate_gradients(
        self, links: Links, levels: Levels, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Multigrid-CG from the residual r, at most ``limit (batch)`` steps: new x, status (−1: none), steps."""
        out, systems = _systems(_field, x, r, goal, limit)
        packed = levels.prepare("cpu", pack)
        over_batch(loops.conjugate_gradients_batch, x.shape[0], _parts(links.data), packed, systems)
        return out

    def stencil_conjugate_gradients(
        self, taps: Taps, data: Tensor, scaling: Tensor, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same for stencils and the preconditioner z = scaling · r, ``(k, n)`` or ``(k, 1)``."""
        out, systems = _systems(_field, x, r, goal, limit)
        arguments = pack_taps(taps), _parts(data), _flat(scaling), systems
        over_batch(stencil_loops.conjugate_gradients_batch, x.shape[0], *arguments)
        return out

    def multiplies(self, matrices: int) -> bool:
        return matrices == 1

    def csr_product(self, crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
        out, rows = x.new_empty(x.shape[0], crow.numel() - 1), max(crow.numel() - 1, 1)
        pieces = x.shape[0] * -(-rows // csr_loops.ROWS)
        least = -(-_THREAD * pieces // max(x.shape[0] * col.numel(), 1))
        pattern = (index.numpy().view(np.uint32) for index in (crow, col))
        over_batch(csr_loops.product_batch, pieces, *pattern, _flat(values), _flat(x), _flat(out), least=max(least, 1))
        return out

    def csr_conjugate_gradients(
        self,
        crow: Tensor,
        col: Tensor,
        values: Tensor,
        scaling: Tensor,
        x: Tensor,
        r: Tensor,
        goal: Tensor,
        limit: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same for sparse matrices ``(k, nnz)`` and the preconditioner z = scaling · r, ``(k, n)``."""
        out, systems = _systems(_flat, x, r, goal, limit)
        pattern = (index.numpy().view(np.uint32) for index in (crow, col))
        over_batch(csr_loops.conjugate_gradients_batch, x.shape[0], *pattern, _flat(values), _flat(scaling), systems)
        return out

    def pivots(self, triangles: Triangles, values: Tensor, relaxation: float, smallest: float) -> Tensor:
        out = values.new_empty(values.shape[0], triangles.diagonal.numel())
        arguments = *_pattern(triangles), _flat(values), relaxation, smallest, _flat(torch.empty_like(out)), _flat(out)
        over_batch(triangular_loops.pivots_batch, values.shape[0], *arguments)
        return out

    def substitute(self, triangles: Triangles, values: Tensor, over_pivots: Tensor, r: Tensor) -> Tensor:
        out = torch.empty_like(r, memory_format=torch.contiguous_format)
        arguments = *_pattern(triangles), _flat(values), _flat(over_pivots), _flat(r), _flat(out)
        over_batch(triangular_loops.substitute_batch, r.shape[0], *arguments)
        return out


def _pattern(triangles: Triangles) -> Any:
    return triangles.crow.numpy(), triangles.col.numpy(), triangles.diagonal.numpy()


def _relax(links: Links, b: Tensor, u: Tensor, omega: float, reverse: bool) -> Tensor:
    out = u.clone(memory_format=torch.contiguous_format)
    over_batch(loops.relax_batch, u.shape[0], _parts(links.data), _field(b), omega, reverse, _field(out))
    return out


def _systems(
    view: Any, x: Tensor, r: Tensor, goal: Tensor, limit: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Systems]:
    """New x, status, steps, and what the loops know them by; `view` makes arrays of vectors."""
    new = x.clone(memory_format=torch.contiguous_format)
    status, steps = torch.full_like(limit, -1, dtype=torch.int8), torch.zeros_like(limit, dtype=torch.int32)
    systems = Systems(view(r), goal.numpy(), limit.numpy(), view(new), status.numpy(), steps.numpy())
    return (new, status, steps), systems


def _parts(data: Tensor) -> Any:
    """``(batch, parts, *grid)`` with three grid axes."""
    return data.detach().reshape(*data.shape[:2], *padded(data.shape[2:])).contiguous().numpy()


def _field(u: Tensor) -> Any:
    """``(batch, *grid)`` with three grid axes."""
    return u.detach().contiguous().reshape(u.shape[0], *padded(u.shape[1:])).numpy()


def _flat(u: Tensor) -> Any:
    return u.detach().contiguous().flatten(1).numpy()
