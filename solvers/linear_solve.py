"""Solve A x = b for a batch of systems: set-up, iteration, statuses, derivatives."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor

from solvers.errors import SolveError, TagError
from solvers.fused import fused_descent
from solvers.implicit import solve_differentiably
from solvers.krylov import CG, Apply, Outcome
from solvers.operators.linear_operator import LinearOperator
from solvers.solution import Solution, Stats
from solvers.status import Status

__all__ = ["Preconditioner", "SolveState", "linear_solve"]

_INCONSISTENT = 1e-6


class Preconditioner(Protocol):
    """A recipe for an approximate inverse: `setup` builds it for one (batch of) operators."""

    def setup(self, A: LinearOperator) -> Apply: ...


@dataclass(frozen=True)
class SolveState:
    """What a solve set up: the approximate inverse, reused for adjoints and for the next solve (``state=``)."""

    precondition: Apply | None = None


def linear_solve(
    A: LinearOperator,
    b: Tensor,
    solver: CG | None = None,
    preconditioner: Preconditioner | None = None,
    x0: Tensor | None = None,
    state: SolveState | None = None,
    throw: bool = True,
) -> Solution:
    """Solve A x = b for every system of the batch.

    Parameters
    ----------
    A
        Operator with the tag "spd" (or ``CG(assume_spd=True)``).
    b
        Right-hand sides, flat ``(*batch, n)``, of A's dtype and device; batch axes broadcast with A's.
    solver
        ``CG()`` by default.
    preconditioner
        A recipe such as `GeometricMultigrid()`; the solution and its derivatives do not depend on it.
    x0
        Starting guess ``(*batch, n)``, not differentiated.
    state
        ``Solution.state`` of an earlier solve: its set-up is used again, also if A has changed a little since.
    throw
        Raise if any system failed. False: read ``Solution.status``; gradients of failed systems are NaN.

    Returns
    -------
    Solution
        ``value (*batch, n)`` is differentiable any number of times in b and in A's parameters, at the cost of one more
        solve a time, to the same relative tolerance.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TagError, ValueError
        The arguments do not fit.
    SolveError
        A system failed and `throw` is set; the subclass says how.

    Notes
    -----
    If A is singular with a known kernel (Neumann, periodic), b must be orthogonal to it and the solution is, too.

    Examples
    --------
    >>> import torch
    >>> from solvers import poisson_operator
    >>> A = poisson_operator((8, 8))
    >>> b = torch.ones(3, 64, dtype=torch.float64, requires_grad=True)
    >>> solution = linear_solve(A, b)
    >>> solution.value.sum().backward()  # dx/db = A⁻¹, symmetric, so the gradient of Σx is x itself
    >>> torch.allclose(b.grad, solution.value)
    True
    """
    solver = solver or CG()
    _check(A, b, x0, solver)
    b = b.expand(
        torch.broadcast_shapes(A.batch_shape, b.shape[:-1], () if x0 is None else x0.shape[:-1]) + b.shape[-1:]
    )
    began = perf_counter()
    if state is None:
        with torch.no_grad():
            state = SolveState(None if preconditioner is None else preconditioner.setup(A))
    run = _Run(solver, state, throw, x0, perf_counter() - began)
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (b, *A.parameters()))
    value = solve_differentiably(A, b, run.forward, run.adjoint) if differentiable else run.forward(A, b)
    return replace(run.solutions[0], value=value)


@dataclass
class _Run:
    """The solves that one call of `linear_solve` leads to: its own, and later those of its derivatives."""

    solver: CG
    state: SolveState
    throw: bool
    x0: Tensor | None
    setup_seconds: float
    solutions: list[Solution] = field(default_factory=list)

    @torch.no_grad()
    def forward(self, A: LinearOperator, b: Tensor) -> Tensor:
        began = perf_counter()
        rhs = A.project(b)
        inconsistent = (b - rhs).norm(dim=-1) > _INCONSISTENT * b.norm(dim=-1) if rhs is not b else None
        outcome = self._iterate(A, rhs, self.x0)
        status = outcome.status
        if inconsistent is not None:
            status = torch.where(inconsistent & (status != Status.NONFINITE_INPUT), Status.SINGULAR, status)
        stats = Stats(
            outcome.iterations,
            outcome.residual_norm,
            outcome.rhs_norm,
            outcome.products,
            self.setup_seconds,
            perf_counter() - began,
            outcome.history,
        )
        solution = Solution(outcome.value, status, stats, self.state)
        if self.throw:
            solution.raise_if_failed()
        self.solutions.append(solution)
        return outcome.value

    @torch.no_grad()
    def adjoint(self, A: LinearOperator, g: Tensor) -> Tensor:
        """Solve for a cotangent. A failure raises, or makes the gradient of that system NaN: never silently wrong."""
        outcome = self._iterate(A, A.project(g), None)
        if not bool(outcome.status.any()):
            return outcome.value
        stats = Stats(outcome.iterations, outcome.residual_norm, outcome.rhs_norm, outcome.products, 0.0, 0.0)
        try:
            Solution(outcome.value, outcome.status, stats).raise_if_failed()
        except SolveError as error:
            if self.throw:
                raise type(error)(
                    f"adjoint solve: {error}", error.status, error.batch_indices, error.residuals
                ) from None
            warnings.warn(f"adjoint solve: {error} Its gradient is NaN.", RuntimeWarning, stacklevel=2)
        return torch.where(outcome.status.unsqueeze(-1) != Status.CONVERGED, torch.nan, outcome.value)

    def _iterate(self, A: LinearOperator, b: Tensor, x0: Tensor | None) -> Outcome:
        b = torch.where(A.is_finite().unsqueeze(-1), b, torch.nan)
        x = None if x0 is None else A.project(x0.detach().expand_as(b))
        precondition = self.state.precondition
        return self.solver.iterate(A.mv, b, precondition, x, fused_descent(A, precondition, b.shape[:-1]))


def _check(A: LinearOperator, b: Tensor, x0: Tensor | None, solver: CG) -> None:
    A.check_vector(b, A.shape[0])
    if x0 is not None:
        A.check_vector(x0, A.shape[1])
    if "spd" not in A.tags and not solver.assume_spd:
        raise TagError(
            f"{A!r} lacks the tag 'spd' that CG needs: build it with tags={{'spd'}}, or use CG(assume_spd=True)"
        )
    solver.tolerance(b)
