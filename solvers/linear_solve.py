"""Solve A x = b for a batch of systems: set-up, iteration, statuses, derivatives."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch
from torch import Tensor

from solvers.arguments import require_arguments
from solvers.errors import ScimlError, SolveError
from solvers.inverse import Inverse, Preconditioner
from solvers.krylov import CG
from solvers.nullspace import DeflatedInverse, DeflatedOperator, orthonormal, require_kernel
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import columns_first, is_differentiated
from solvers.partial_setup import set_up_the_others
from solvers.solution import Solution, Stats
from solvers.solver import Outcome, Solver
from solvers.status import Status
from solvers.verification import verify_symmetry, verify_tags

__all__ = ["SolveState", "linear_solve"]

_INCONSISTENT = 1e-6


@dataclass(frozen=True)
class SolveState:
    """What a solve set up for its operator: reused for adjoints, and for later solves (``state=``)."""

    solver: Solver
    inverse: Inverse | None
    method: str
    #: The systems for which the preconditioner could not be set up, ``(*batch)``; None if there are none.
    without: Tensor | None = None


def linear_solve(
    A: LinearOperator,
    b: Tensor,
    solver: Solver | None = None,
    preconditioner: Preconditioner | None = None,
    x0: Tensor | None = None,
    *,
    state: SolveState | None = None,
    nullspace: Tensor | None = None,
    project_rhs: bool = False,
    promote: bool = False,
    adjoint_solver: Solver | None = None,
    check: bool = False,
    throw: bool = True,
) -> Solution:
    """Solve A x = b for every system of the batch.

    Parameters
    ----------
    A
        Operator; what its tags must say depends on the solver ("spd" for ``CG``).
    b
        Right-hand sides, flat ``(*batch, n)`` or columns ``(*batch, n, k)``, of A's dtype and device; batch axes
        broadcast with A's. An array whose last axis has length n holds vectors, not columns.
    solver
        ``CG()`` by default.
    preconditioner
        A recipe such as `GeometricMultigrid()`; the solution and its derivatives do not depend on it.
    x0
        Starting guess, shaped like the solution, not differentiated.
    state
        ``Solution.state`` of an earlier solve: its set-up is used again, also if A has changed a little since
        (by a direct solver only for the same A).
    nullspace
        Kernel of a symmetric A, ``(n)`` or ``(n, k)``: the solution is the one orthogonal to it. Operators that know
        their kernel (`DiffusionOperator` with Neumann or periodic sides) need none.
    project_rhs
        Drop the component of b in the kernel instead of calling the system singular.
    promote
        Convert A and b to their common dtype; without it two dtypes are an error.
    adjoint_solver
        For the solves of derivatives; the solver itself by default.
    check
        Test on random vectors what the tags claim, before anything else.
    throw
        Raise if any system failed. False: read ``Solution.status``; gradients of failed systems are NaN.

    Returns
    -------
    Solution
        ``value``, shaped like b, is differentiable any number of times in b and in A's parameters, at the cost of one
        more solve a time, to the same relative tolerance. Statuses and statistics of columns are ``(k, *batch)``.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, TagError, ValueError
        The arguments do not fit.
    SolveError
        A system failed and `throw` is set; the subclass says how.

    Notes
    -----
    If A is singular with a known kernel, b must be orthogonal to it and the solution is, too.

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
    require_arguments(A, b, solver, preconditioner)
    columns = _has_columns(A, b)
    if columns:
        b = columns_first(b, len(A.batch_shape))
        x0 = None if x0 is None else columns_first(x0, len(A.batch_shape))
    if promote:
        A, b = _promoted(A, b)
    A.check_vector(b, A.shape[0])
    if x0 is not None:
        A.check_vector(x0, A.shape[1])
    if check:
        verify_tags(A)
    batch = torch.broadcast_shapes(A.batch_shape, b.shape[:-1], () if x0 is None else x0.shape[:-1])
    b = b.expand(*batch, b.shape[-1])
    began = perf_counter()
    if state is None:
        state = _set_up(A, solver or CG(), preconditioner, throw)
    elif solver is not None:
        state = replace(state, solver=solver)
    if nullspace is not None:
        A, state = _deflated(A, state, nullspace)
    state.solver.check(A, state.inverse)
    run = _Run(state, adjoint_solver, throw, project_rhs, x0, perf_counter() - began)
    differentiable = is_differentiated(b, *A.parameters())
    value = state.solver.differentiably(A, b, run.forward, run.again) if differentiable else run.forward(A, b)
    return replace(run.solutions[0], value=value.movedim(0, -1) if columns else value)


@dataclass
class _Run:
    """The solves that one call of `linear_solve` leads to: its own, and later those of its derivatives."""

    state: SolveState
    adjoint_solver: Solver | None
    throw: bool
    project_rhs: bool
    x0: Tensor | None
    setup_seconds: float
    solutions: list[Solution] = field(default_factory=list)

    @torch.no_grad()
    def forward(self, A: LinearOperator, b: Tensor, flipped: bool = False) -> Tensor:
        began = perf_counter()
        rhs = A.project(b)
        x0 = None if self.x0 is None else A.project(self.x0.detach().expand(*b.shape[:-1], A.shape[1]))
        outcome = self.outcome(A, rhs, x0)
        outcome = replace(outcome, value=A.project(outcome.value))
        if rhs is not b and not self.project_rhs:
            outcome = _with_what_was_projected(outcome, A.norm(b), A.norm(b - rhs))
        solution = self.solution(outcome, perf_counter() - began)
        if self.throw and not bool(solution.converged.all()):
            verify_symmetry(A)  # a tag that is wrong is the better explanation
            solution.raise_if_failed()
        self.solutions.append(solution)
        return outcome.value

    def outcome(self, A: LinearOperator, rhs: Tensor, x0: Tensor | None) -> Outcome:
        """What the solver returns; systems without a preconditioner are not solved."""
        if self.state.without is None:
            return self.state.solver.solve(A, rhs, self.state.inverse, x0)
        without = self.state.without.expand(rhs.shape[:-1])
        rhs = torch.where(without.unsqueeze(-1), 0, rhs)
        outcome = self.state.solver.solve(A, rhs, self.state.inverse, x0)
        status = torch.where(without, Status.PRECONDITIONER_UNDEFINED, outcome.status).to(outcome.status.dtype)
        return replace(outcome, value=torch.where(without.unsqueeze(-1), torch.nan, outcome.value), status=status)

    @torch.no_grad()
    def again(self, A: LinearOperator, g: Tensor, flipped: bool) -> Tensor:
        """Solve for a derivative. A failure raises, or makes the gradient of that system NaN: never silently wrong.

        So does a failure of the system itself, unless its cotangent is zero.
        """
        failed = (self.solutions[0].status != Status.CONVERGED).unsqueeze(-1)
        if not bool(failed.any()):
            return self.adjoint(A, g, flipped)
        lost = failed & (g != 0).any(-1, keepdim=True)
        if bool(lost.any()):
            warnings.warn(
                f"the gradient of system {int(lost.reshape(-1).nonzero()[0])} of {lost.numel()} is NaN, because the "
                "system was not solved: leave it out of the loss, or raise throw=True",
                RuntimeWarning,
                stacklevel=2,
            )
        value = self.adjoint(A, torch.where(failed, 0, g), flipped)
        return torch.where(failed, torch.where(lost, torch.nan, 0), value)

    def adjoint(self, A: LinearOperator, g: Tensor, flipped: bool) -> Tensor:
        """The solution for the cotangent g."""
        solver, inverse = self.adjoint_solver or self.state.solver.for_derivatives(), self.state.inverse
        if flipped and inverse is not None:
            inverse = inverse.H
        outcome = solver.solve(A, A.project(g), inverse, None)
        outcome = replace(outcome, value=A.project(outcome.value))
        if not bool(outcome.status.any()):
            return outcome.value
        try:
            self.solution(outcome, 0.0).raise_if_failed()
        except SolveError as error:
            if self.throw:
                raise type(error)(
                    f"adjoint solve: {error}", error.status, error.batch_indices, error.residuals
                ) from None
            warnings.warn(f"adjoint solve: {error} Its gradient is NaN.", RuntimeWarning, stacklevel=2)
        return torch.where(outcome.status.unsqueeze(-1) != Status.CONVERGED, torch.nan, outcome.value)

    def solution(self, outcome: Outcome, seconds: float) -> Solution:
        stats = Stats(
            outcome.iterations,
            outcome.residual_norm,
            outcome.rhs_norm,
            outcome.products,
            self.setup_seconds,
            seconds,
            outcome.history,
            self.state.method,
            outcome.fallbacks,
            outcome.switched_at,
        )
        return Solution(outcome.value, outcome.status, stats, self.state)


def _with_what_was_projected(outcome: Outcome, size: Tensor, left_out: Tensor) -> Outcome:
    """The outcome with the part of b in the kernel counted in: it is residual, and too much of it is a failure."""
    inconsistent = (left_out > _INCONSISTENT * size).squeeze(-1) & (outcome.status != Status.NONFINITE_INPUT)
    return replace(
        outcome,
        status=torch.where(inconsistent, Status.SINGULAR, outcome.status).to(outcome.status.dtype),
        residual_norm=torch.hypot(outcome.residual_norm, left_out.squeeze(-1)),
        rhs_norm=size.squeeze(-1),
    )


@torch.no_grad()
def _set_up(A: LinearOperator, solver: Solver, preconditioner: Preconditioner | None, throw: bool) -> SolveState:
    solver, preconditioner = solver.choose(A, preconditioner)
    method = type(solver).__name__ + ("" if preconditioner is None else f" + {type(preconditioner).__name__}")
    try:
        return SolveState(solver, solver.setup(A, preconditioner), method)
    except ScimlError as error:
        if throw or preconditioner is None or not A.batch_shape or A.is_distributed:
            raise
        inverse, without = set_up_the_others(A, lambda system: solver.setup(system, preconditioner), error)
        return SolveState(solver, inverse, method, without)


def _deflated(A: LinearOperator, state: SolveState, nullspace: Tensor) -> tuple[LinearOperator, SolveState]:
    kernel = orthonormal(nullspace.detach(), A)
    require_kernel(A, kernel)
    deflated = DeflatedOperator(A, kernel)
    inverse = state.inverse
    if inverse is not None and not isinstance(inverse, DeflatedInverse):
        inverse = DeflatedInverse(inverse, deflated)
    return deflated, replace(state, inverse=inverse)


def _has_columns(A: LinearOperator, b: Tensor) -> bool:
    """Whether b holds columns ``(*batch, n, k)``."""
    return b.ndim >= 2 and b.shape[-1] != A.shape[0] and b.shape[-2] == A.shape[0]


def _promoted(A: LinearOperator, b: Tensor) -> tuple[LinearOperator, Tensor]:
    dtype = torch.promote_types(A.dtype, b.dtype)
    if A.dtype != dtype:
        A = A.replace(tuple(parameter.to(dtype) for parameter in A.parameters()))
    return A, b.to(dtype)
