"""How eigenpairs depend on their operators: the implicit function theorem for A v = λ B v."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.direct import DenseLU
from solvers.errors import Singular
from solvers.inverse import Inverse
from solvers.krylov import MINRES
from solvers.linear_solve import linear_solve
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Solver
from solvers.status import Status

__all__ = ["eigenpairs_differentiably"]

_DENSE = 256
_GAP = 1e-6


def eigenpairs_differentiably(
    A: LinearOperator,
    B: LinearOperator | None,
    values: Tensor,
    vectors: Tensor,
    inverse: Inverse | None,
    rtol: float,
) -> tuple[Tensor, Tensor]:
    """The first k of the eigenvalues ``(*batch, m)`` and their vectors ``(*batch, n, k)``, joined to the parameters.

    Parameters
    ----------
    values
        More than k of them show whether the last vectors belong to a cluster.
    inverse
        An approximate inverse of A, for the solves behind derivatives of vectors.
    rtol
        Relative tolerance of those solves.
    """
    parameters = (*A.parameters(), *(() if B is None else B.parameters()))
    found: tuple[Tensor, Tensor] = _Eigenpairs.apply(_Problem(A, B, inverse, rtol), values, vectors, *parameters)
    return found


@dataclass(frozen=True)
class _Problem:
    A: LinearOperator
    B: LinearOperator | None
    inverse: Inverse | None
    rtol: float

    def operators(self, parameters: Sequence[Tensor]) -> tuple[LinearOperator, LinearOperator | None]:
        count = len(self.A.parameters())
        A = self.A.replace(tuple(parameters[:count]))
        return A, None if self.B is None else self.B.replace(tuple(parameters[count:]))

    def solver(self) -> Solver:
        n = self.A.shape[0]
        return DenseLU() if n <= _DENSE else MINRES(rtol=self.rtol, max_iterations=10 * n)


class _Eigenpairs(torch.autograd.Function):
    """With cotangents γ of λ and g of v: w = γ v − y, where (A − λ B) y = g − B v ⟨v, g⟩ and ⟨B v, y⟩ = 0.

    Then ∂/∂θ_A = ⟨w, A' v⟩ and ∂/∂θ_B = ⟨−λ w − ½ Re⟨v, g⟩ v, B' v⟩.
    """

    @staticmethod
    def forward(
        ctx: Any, problem: _Problem, values: Tensor, vectors: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.problem, ctx.spectrum = problem, values
        found = values[..., : vectors.shape[-1]].clone(), vectors.clone()
        ctx.save_for_backward(*found, *parameters)
        return found

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        values, vectors, *parameters = ctx.saved_tensors
        A, B = ctx.problem.operators(parameters)
        value, v = values.movedim(-1, 0).unsqueeze(-1), vectors.movedim(-1, 0)
        g_value, g = cotangents[0].movedim(-1, 0).unsqueeze(-1), cotangents[1].movedim(-1, 0)
        w = g_value * v
        if bool((g != 0).any()):
            _require_simple(ctx.spectrum, g)
            Bv = v if B is None else B.mv(v)
            shifted = _ShiftedOperator(A, B, value, v, _spread(ctx.spectrum, v.shape[0]))
            rhs = g - Bv * A.inner(v, g)
            ready = None if ctx.problem.inverse is None or v.shape[-1] <= _DENSE else _Ready(ctx.problem.inverse)
            w = w - linear_solve(shifted, rhs, ctx.problem.solver(), ready).value
        gradients = A.pullback(w, v)
        if B is not None:
            gradients = *gradients, *B.pullback(-value * w - 0.5 * A.inner(v, g).real * v, v)
        return None, None, None, *gradients


class _ShiftedOperator(LinearOperator):
    """K = A − λ B + σ (B v)(B v)ᴴ for every pair ``(k, *batch)``: regular where λ is simple, and A − λ B beside v."""

    tags = frozenset({"symmetric"})

    def __init__(self, A: LinearOperator, B: LinearOperator | None, value: Tensor, v: Tensor, sigma: Tensor) -> None:
        self.A, self.B, self.value, self.v, self.sigma = A, B, value, v, sigma

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def batch_shape(self) -> torch.Size:
        return self.v.shape[:-1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (*self.A.parameters(), *(() if self.B is None else self.B.parameters()), self.value, self.v)

    def replace(self, parameters: tuple[Tensor, ...]) -> _ShiftedOperator:
        *rest, value, v = parameters
        A, B = _Problem(self.A, self.B, None, 0.0).operators(rest)
        return _ShiftedOperator(A, B, value, v, self.sigma)

    def is_finite(self) -> Tensor:
        return self.v.isfinite().all(-1)

    def weigh(self, x: Tensor) -> Tensor:
        """B x."""
        return x if self.B is None else self.B.mv(x)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        A, B, u = self.A, self.B, self.weigh(self.v)
        # Re ⟨left, u⟩⟨u, right⟩ changes with u by Re ⟨d_u, u̇⟩.
        d_u = self.sigma * (A.inner(right, u) * left + A.inner(left, u) * right)
        d_value = -A.inner(left, self.weigh(right)).real
        of_A = A.pullback(left, right)
        of_B: tuple[Tensor, ...] = ()
        if B is not None:
            pairs = zip(B.pullback(-self.value * left, right), B.pullback(d_u, self.v), strict=True)
            of_B = tuple(first + second for first, second in pairs)
        return (*of_A, *of_B, d_value.sum_to_size(self.value.shape), self.weigh(d_u).sum_to_size(self.v.shape))

    def diagonal(self) -> Tensor:
        return self.to_dense().diagonal(dim1=-2, dim2=-1)

    def _mv(self, x: Tensor) -> Tensor:
        u = self.weigh(self.v)
        return self.A.mv(x) - self.value * self.weigh(x) + self.sigma * self.A.inner(u, x) * u

    def _rmv(self, x: Tensor) -> Tensor:
        return self._mv(x)


@dataclass(frozen=True)
class _Ready:
    """The recipe of an inverse that exists."""

    inverse: Inverse

    def setup(self, A: LinearOperator) -> Inverse:
        return self.inverse


def _spread(spectrum: Tensor, k: int) -> Tensor:
    """|λⱼ − λᵢ| of the farthest eigenvalue known, ``(k, *batch, 1)``: a weight that fits into the spectrum of K."""
    spread = (spectrum.unsqueeze(-1) - spectrum.unsqueeze(-2)).abs().amax(-1)[..., :k]
    return torch.where(spread > 0, spread, 1).movedim(-1, 0).unsqueeze(-1)


def _require_simple(spectrum: Tensor, g: Tensor) -> None:
    """Raise `Singular` if a vector with a cotangent shares its eigenvalue."""
    k = g.shape[0]
    gaps = (spectrum.unsqueeze(-1) - spectrum.unsqueeze(-2)).abs()
    gaps.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
    gap, partner = gaps[..., :k, :].min(-1)
    limit = max(_GAP, 50 * torch.finfo(spectrum.dtype).eps) * spectrum[..., :k].abs()
    shared = (gap < limit) & (g != 0).any(-1).movedim(0, -1)
    if bool(shared.any()):
        *system, pair = shared.nonzero()[0].tolist()
        raise Singular(
            f"system {tuple(system)}: the eigenvalues {pair} and {int(partner[(*system, pair)])} are "
            f"{float(gap[(*system, pair)]):.1e} apart, so that their single vectors have no derivative: use the "
            "projector V Vᵀ on all of them, sums of their eigenvalues, or an operator without this symmetry",
            [Status.SINGULAR],
        )
