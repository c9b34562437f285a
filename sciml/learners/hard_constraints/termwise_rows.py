"""Rows W G(T₀ + (D b) w; θ) for the weights w of basis functions, with derivatives in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.row_maps import RowMap, weighted_sum
from sciml.learners.hard_constraints.rows import Rows
from sciml.learners.hard_constraints.unknowns import ALL, Unknowns

__all__ = ["TermwiseRows"]


@dataclass(frozen=True)
class TermwiseRows(Rows):
    """The residual of offset + b·w_e in the boxes of K experts; unknowns ``(B, K, N)``, rows ``(B, K, m)``.

    Parameters of the function: the terms of the basis in the boxes ``(B, K, J, N, p)`` (of the process's own functions,
    where they are shared), the terms of the offset there ``(B, K, J, p)``, and θ. Their gradient is a sum of two outer
    products, so that nothing is kept of the iterations.

    Parameters
    ----------
    residual
        G, whose parameters have the values of θ, on a grid that holds the boxes.
    boxes
        Where; points that no box has see the terms of `background`.
    background
        Terms of the offset on that grid, ``(B, J, G)``.
    weigh
        W.
    unknowns
        Which of them are this process's own.
    """

    residual: TermwiseResidual
    boxes: Boxes
    background: Tensor
    weigh: RowMap
    unknowns: Unknowns = ALL

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        basis, offset, *theta = parameters
        value = self.residual.combine(self._on_grid(offset + self._moved(basis, x)), tuple(theta))
        return self.weigh(self.boxes.gather(value.flatten(1)))

    def count(self, parameters: tuple[Tensor, ...]) -> int:
        return self.weigh.count

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.unknowns.gathered(self._columns(x, parameters).mT)

    def column_lengths(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.unknowns.gathered(torch.linalg.vector_norm(self._columns(x, parameters), dim=-1))

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.unknowns.normal_equations(self._columns(x, parameters), value)

    def slope(self, x: Tensor, *parameters: Tensor) -> Tensor:
        basis, offset, *theta = parameters
        terms = self._on_grid(offset + self._moved(basis, x))
        value = self.residual.combine(terms, tuple(theta))
        dual = self.weigh.gram(self.boxes.gather(value.flatten(1)))
        factors = dual.unsqueeze(2) * self._local_slopes(terms)
        return self.unknowns.gathered((basis @ factors.unsqueeze(-1)).squeeze(-1).sum(2))

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        basis, offset, *theta = parameters
        terms = offset + self._moved(basis, x)
        second = self.residual.second_slopes(self._on_grid(terms))
        value = self.residual.combine(self._on_grid(terms), tuple(theta))
        dual = self.weigh.gram(self.boxes.gather(value.flatten(1)))
        # Σ_jk B_j diag(dual ∂²G/∂T_j∂T_k) B_kᵀ: the factors before B_j are summed over k first.
        factors = {
            pair: self.unknowns.part(dual * self.boxes.gather(local.flatten(1))) for pair, local in second.items()
        }
        basis = self.unknowns.spread(basis)
        total = x.new_zeros(*x.shape, x.shape[-1])
        for j in range(basis.shape[2]):
            row = {k: factors[min(j, k), max(j, k)] for k in range(basis.shape[2]) if (min(j, k), max(j, k)) in factors}
            if row:
                summed = weighted_sum(torch.stack(list(row.values()), 2), basis[:, :, list(row)])
                total = total + basis[:, :, j] @ summed.mT
        return self.unknowns.summed(total)

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        basis, offset, *theta = (p.detach() for p in parameters)
        terms, moved = self._on_grid(offset + self._moved(basis, x)), self._moved(basis, q)
        with torch.enable_grad():
            at = terms.requires_grad_()
            inputs = [t.requires_grad_() for t in theta]
            value = self.residual.combine(at, tuple(inputs))
            (slopes,) = torch.autograd.grad(value.sum(), at, create_graph=True)
            local = self.boxes.gather(slopes.detach().flatten(2)).movedim(1, 2)
            dual = self.weigh.gram(self.boxes.gather(value.detach().flatten(1)))
            moved_dual = self.weigh.gram((local * moved).sum(2))
            pulled = (self._rows_on_grid(moved_dual) * value).sum()
            pulled = pulled + (self._rows_on_grid(dual).unsqueeze(1) * slopes * self._on_grid(moved, zero=True)).sum()
            alpha, *others = torch.autograd.grad(pulled, [at, *inputs], allow_unused=True, materialize_grads=True)
        first = self.boxes.gather(alpha.flatten(2)).movedim(1, 2)
        second = dual.unsqueeze(2) * local
        by_basis = None
        if wanted[0]:
            own, asked = (self.unknowns.copies * self.unknowns.own(values)[:, :, None, :, None] for values in (x, q))
            by_basis = first.unsqueeze(-2) * own
            by_basis.addcmul_(second.unsqueeze(-2), asked)
        return by_basis, first if wanted[1] else None, *others

    def _columns(self, x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """Jᵀ, ``(B, K, N, m)``: the points come last, where they are next to each other in memory."""
        basis, offset, *_ = parameters
        return self.weigh.columns(self._local_slopes(self._on_grid(offset + self._moved(basis, x))), basis)

    def _moved(self, basis: Tensor, x: Tensor) -> Tensor:
        """(D_j b) x, ``(B, K, J, p)``."""
        return self.unknowns.summed((self.unknowns.own(x)[:, :, None, None, :] @ basis).squeeze(-2))

    def _local_slopes(self, terms: Tensor) -> Tensor:
        """∂G/∂T_j in the boxes, ``(B, K, J, p)``."""
        return self.boxes.gather(self.residual.slopes(terms).flatten(2)).movedim(1, 2)

    def _on_grid(self, terms: Tensor, zero: bool = False) -> Tensor:
        """Terms ``(B, K, J, p)`` as ``(B, J, *shape)``."""
        background = torch.zeros_like(self.background) if zero else self.background
        return self.boxes.scatter(terms.movedim(1, 2), background).unflatten(-1, self.boxes.shape)

    def _rows_on_grid(self, rows: Tensor) -> Tensor:
        return self.boxes.scatter(rows, rows.new_zeros(self.boxes.size)).unflatten(-1, self.boxes.shape)
