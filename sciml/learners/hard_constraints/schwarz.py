"""Steps of coupled experts by conjugate gradients, preconditioned by each expert's block and one coarse block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.learners.hard_constraints.unknowns import ALL, Unknowns
from solvers import CG, FunctionOperator, Inverse
from solvers.nonlinear import Factorisation
from solvers.nonlinear.linear_model import LinearModel, ScaledRows
from solvers.nonlinear.norm import norm

__all__ = ["TwoLevelSchwarz"]


@dataclass(frozen=True)
class TwoLevelSchwarz(Factorisation):
    """JᵀJ is never formed: two-level additive Schwarz over the weights ``(K, N)`` of K experts.

    The blocks are the experts' own N × N; the coarse block is that of equal weights for all experts, the single solve.
    The condition number is not known, and reported as NaN.

    Parameters
    ----------
    experts
        K; the unknowns are those of expert 0, then 1, …
    rtol, max_iterations
        Of conjugate gradients. A step that is not accurate is refined by the next one.
    unknowns
        Where they are shared, each process multiplies with its part of the rows: a product costs one sum of K N
        numbers over the processes. The blocks and the coarse block are such sums, too.
    """

    experts: int
    rtol: float = 1e-10
    max_iterations: int = 400
    unknowns: Unknowns = ALL

    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        return _SchwarzModel(self, J, r, size, scale)


class _SchwarzModel(LinearModel):
    def __init__(self, method: TwoLevelSchwarz, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> None:
        rows = ScaledRows.of(J, r, size, scale)
        super().__init__(rows.slopes, rows.lengths, size, scale)
        self.method, self.unknowns = method, method.unknowns
        self.scaled = self.unknowns.part(rows.matrix.mT).mT
        own = self.scaled.unflatten(-1, (method.experts, -1)).movedim(-2, -3)
        #: Equal weights of all experts, in units of D.
        self.coarse = (scale / norm(scale)).unflatten(-1, (method.experts, -1))
        same = (own * self.coarse.unsqueeze(-2)).sum(-3)
        self.blocks, self.shared = self.unknowns.summed(own.mT @ own), self.unknowns.summed(same.mT @ same)
        self.full_rank = torch.ones_like(size, dtype=torch.bool)
        self.condition = torch.full_like(size, torch.nan)
        self._newton: Tensor | None = None

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        y = self._solve(damping)
        moved = (self.scaled @ y.unsqueeze(-1)).squeeze(-1)
        curved = self.unknowns.summed(moved.square().sum(-1, keepdim=True))
        decrease = -(2 * self.slopes * y).sum(-1, keepdim=True) - curved
        return y * self.size / self.scale, decrease

    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        if self._newton is None:
            # A trace of damping keeps directions that no row determines where they are.
            self._newton = self._solve(torch.full_like(self.size, torch.finfo(self.scaled.dtype).eps))
        y = self._newton
        return y * self.size / self.scale, norm(y) * self.size, -(self.slopes * y).sum(-1, keepdim=True)

    def _solve(self, damping: Tensor) -> Tensor:
        """(JᵀJ + λ)⁻¹ of the slopes, negative."""

        def normal(y: Tensor, J: Tensor, damping: Tensor) -> Tensor:
            return self.unknowns.summed((J.mT @ (J @ y.unsqueeze(-1))).squeeze(-1)) + damping * y

        n = self.scaled.shape[-1]
        A = FunctionOperator(
            normal,
            (n, n),
            (self.scaled, damping),
            adjoint_fn=normal,
            tags={"spd"},
            batch_shape=self.scaled.shape[:-2],
        )
        solver = CG(rtol=self.method.rtol, max_iterations=self.method.max_iterations)
        squares = self.coarse.square().sum(-2)
        shared = self.shared + torch.diag_embed(damping * squares)
        blocks = self.blocks + damping.unsqueeze(-1).unsqueeze(-1) * torch.eye(self.blocks.shape[-1]).to(self.blocks)
        return solver.solve(A, -self.slopes, _TwoLevel(_inverse(blocks), _inverse(shared), self.coarse), None).value


class _TwoLevel(Inverse):
    """⊕ A_e⁻¹ + R A_c⁻¹ Rᵀ."""

    is_spd = True

    def __init__(self, blocks: Tensor, shared: Tensor, coarse: Tensor) -> None:
        self.blocks, self.shared, self.coarse = blocks, shared, coarse

    def __call__(self, r: Tensor) -> Tensor:
        parts = r.unflatten(-1, self.coarse.shape[-2:])
        local = (self.blocks @ parts.unsqueeze(-1)).squeeze(-1)
        common = (self.shared @ (self.coarse * parts).sum(-2).unsqueeze(-1)).squeeze(-1)
        return (local + self.coarse * common.unsqueeze(-2)).flatten(-2)


def _inverse(matrix: Tensor) -> Tensor:
    """Of a symmetric positive semidefinite matrix; weak directions are taken as the weakest that can be seen."""
    values, V = torch.linalg.eigh(matrix)
    floor = matrix.shape[-1] * torch.finfo(matrix.dtype).eps * values[..., -1:]
    values = torch.maximum(values, floor.clamp(min=torch.finfo(matrix.dtype).tiny))
    return (V / values.unsqueeze(-2)) @ V.mT
