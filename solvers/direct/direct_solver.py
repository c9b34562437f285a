"""What all direct solvers share: a factor is an exact inverse, and the true residual decides what it was worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import TagError, ToleranceError
from solvers.inverse import Inverse, Preconditioner
from solvers.nullspace import DeflatedInverse
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["DirectSolver", "Factor", "is_numerically_singular", "kernel_shift", "spectral_bound"]

#: ‖b − A x‖ ≤ this · eps · (‖A‖ ‖x‖ + ‖b‖): x solves a system that rounding cannot tell from the given one.
_BACKWARD = 100
_PROBES = 3


class Factor(Inverse):
    """A⁻¹ by a factorisation, for every system of the batch.

    Attributes
    ----------
    status
        How the factorisation of each system of A ended, ``(*batch)``; solves with the others are right nevertheless.
    size
        A bound of ‖A‖₂, ``(*batch)``, real.
    """

    def __init__(self, status: Tensor, size: Tensor, is_spd: bool) -> None:
        self.status, self.size, self.is_spd = status, size, is_spd


@dataclass(frozen=True)
class DirectSolver(Solver):
    """Parameters of every direct solver; each is a `Preconditioner` recipe, too.

    Parameters
    ----------
    rtol
        A system is solved when its true residual satisfies ‖b − A x‖₂ ≤ rtol ‖b‖₂. None: 1e-8 in double, 1e-4 in
        single precision.
    refinements
        Most steps of iterative refinement with the factor, taken only while the residual is larger than that.

    Notes
    -----
    Where A is so ill-conditioned that no x of this precision has such a residual, a system counts as solved if
    ‖b − A x‖ ≤ 100 eps (‖A‖ ‖x‖ + ‖b‖), the backward error that defines a stable method (Higham 2002, section 7.1);
    `Stats.residual_norm` says what was reached. A matrix is singular if rounding its entries makes it so
    (`is_numerically_singular`); with a known kernel it is solved in the complement.
    """

    rtol: float | None = None
    refinements: int = 3

    @abstractmethod
    def factor(self, A: LinearOperator) -> Factor:
        """Factor every system of a square A; called outside of autograd."""

    @torch.no_grad()
    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None = None) -> Factor:
        """The factor of A, exact to rounding; its adjoint comes from the same factorisation."""
        if preconditioner is not None:
            raise ValueError(f"{type(self).__name__} is direct: it takes no preconditioner; leave it out, or use CG")
        self.require(A)
        return self.factor(A)

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        self.require(A)
        self.tolerance(A.dtype)

    def require(self, A: LinearOperator) -> None:
        """Raise unless this solver can factor A."""
        if A.shape[0] != A.shape[1]:
            raise TagError(f"{A!r} is not square, as {type(self).__name__} needs: use NormalCG for least squares")
        if A.is_distributed:
            raise TagError(f"{A!r} is distributed: {type(self).__name__} factors a matrix that is in one place; use CG")

    def tolerance(self, dtype: torch.dtype) -> float:
        """The relative tolerance used for this dtype; raises `ToleranceError` if it is out of its reach."""
        eps = torch.finfo(dtype).eps
        if self.rtol is None:
            return 1e-8 if eps < 1e-10 else 1e-4
        if not eps <= self.rtol < 1:
            raise ToleranceError(
                f"rtol = {self.rtol:g}: {dtype} reaches relative residuals in [{eps:.1e}, 1); choose one of these"
            )
        return self.rtol

    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        """Apply the factor and refine; the guess `x` is not needed. Works on b / max|b|, as `KrylovSolver` does."""
        factor = _factor_within(inverse)
        if inverse is None or factor is None:  # the solver of an adjoint, after another one's forward solve
            inverse = factor = self.setup(A)
        scale = A.largest(b)
        finite = scale.isfinite() & A.is_finite().unsqueeze(-1)
        if x is not None:
            finite = finite & A.largest(x).isfinite()
        scale = torch.where(finite & (scale > 0), scale, 1)
        b = torch.where(finite, b, 0) / scale
        goal = self.tolerance(b.dtype) * A.norm(b)
        run = _Refinement(A, inverse, b, goal)
        run.refine(self.refinements)
        status = run.judge(factor, goal)
        status[~finite] = Status.NONFINITE_INPUT
        return Outcome(
            torch.where(finite, run.x * scale, torch.nan),
            status.squeeze(-1),
            run.steps.squeeze(-1),
            (run.residual * scale).squeeze(-1),
            (A.norm(b) * scale).squeeze(-1),
            run.products,
        )


class _Refinement:
    """x = M b, then x ← x + M (b − A x) for every system whose residual that makes smaller."""

    def __init__(self, A: LinearOperator, inverse: Inverse, b: Tensor, goal: Tensor) -> None:
        self.A, self.inverse, self.b, self.goal, self.products = A, inverse, b, goal, 1
        self.x = A.project(inverse(b))
        self.r = b - A.mv(self.x)
        self.residual = A.norm(self.r)
        self.steps = torch.ones_like(self.residual, dtype=torch.int32)

    def refine(self, limit: int) -> None:
        for _ in range(limit):
            wanted = self.residual > self.goal
            if not wanted.any():
                return
            x = self.A.project(self.x + self.inverse(self.r))
            r = self.b - self.A.mv(x)
            residual = self.A.norm(r)
            better = wanted & (residual < self.residual)
            self.x, self.r = torch.where(better, x, self.x), torch.where(better, r, self.r)
            self.residual = torch.where(better, residual, self.residual)
            self.steps += better
            self.products += 1

    def judge(self, factor: Factor, goal: Tensor) -> Tensor:
        """The status of every system, ``(*batch, 1)``."""
        A, b, eps = self.A, self.b, torch.finfo(self.b.dtype).eps
        sizes = factor.size.unsqueeze(-1) * A.norm(self.x) + A.norm(b)
        solved = (self.residual <= goal) | (self.residual <= _BACKWARD * eps * sizes)
        status = torch.full_like(self.residual, Status.STAGNATION, dtype=torch.int8)
        status[solved] = Status.CONVERGED
        status[~self.residual.isfinite()] = Status.NONFINITE_ITERATE
        broken = (factor.status.unsqueeze(-1) != Status.CONVERGED) & (A.norm(b) > 0)
        if A.project(b) is not b:  # the kernel is known, so that a singular matrix is no failure
            broken = broken & (factor.status.unsqueeze(-1) != Status.SINGULAR)
        return torch.where(broken, factor.status.unsqueeze(-1), status)


def is_numerically_singular(inverse: Inverse, absolute: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """The systems whose matrix is singular for all that rounding can tell, ``(*batch)`` bool.

    Tried on three random v of the size of A's rows: x = M v is large if A is nearly singular, and if
    |v| ≤ 10 √n eps |A| |x| in every row, then some E with |E| ≤ 10 √n eps |A| has (A + E) x = 0
    (Oettli & Prager 1964). Scaling rows or columns of A changes nothing.

    Parameters
    ----------
    inverse
        M, the factor to be tried.
    absolute
        x ↦ |A| x for real vectors.
    like
        Any vector ``(*batch, n)`` of A's dtype on its device.
    """
    n = like.shape[-1]
    draws = torch.rand(_PROBES, *(1,) * (like.ndim - 1), n, generator=torch.Generator().manual_seed(0)) - 0.5
    rows = absolute(torch.ones_like(like.real))
    v = rows * draws.to(rows.device, rows.dtype)
    reached = absolute(inverse(v.to(like.dtype)).abs())
    bound = 10 * n**0.5 * torch.finfo(like.dtype).eps * reached
    return ((v.abs() <= bound) | ~reached.isfinite()).all(-1).any(0) & (n > 0)


def kernel_shift(size: Tensor) -> Tensor:
    """What is added to the diagonal of a singular matrix so that it has a factor.

    Small enough that on the complement of the kernel one step of refinement removes its effect; large enough that
    rounding errors in the kernel, magnified by its inverse, can be projected out.
    """
    return torch.finfo(size.dtype).eps ** 0.75 * torch.where(size > 0, size, 1)


def spectral_bound(rows: Tensor, columns: Tensor) -> Tensor:
    """√(‖A‖₁ ‖A‖_∞) ≥ ‖A‖₂ from the sums of |A| along rows ``(*batch, m)`` and columns ``(*batch, n)``."""
    if rows.shape[-1] == 0:
        return rows.new_zeros(rows.shape[:-1])
    return (rows.amax(-1) * columns.amax(-1)).sqrt()


def _factor_within(inverse: Inverse | None) -> Factor | None:
    while isinstance(inverse, DeflatedInverse):
        inverse = inverse.inverse
    return inverse if isinstance(inverse, Factor) else None
