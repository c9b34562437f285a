"""The solution of a nonlinear equation as autograd follows it, and the linear systems that this leads to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.errors import Singular, SolveError
from solvers.implicit import Equation, attach
from solvers.inverse import Inverse, Preconditioner
from solvers.nonlinear.linear_solver import default_solver
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import is_differentiated
from solvers.solution import Solution, Stats
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["differentiable_value"]


def differentiable_value(
    x: Tensor,
    status: Tensor,
    equation: Equation,
    parameters: tuple[Tensor, ...],
    solver: Solver | None,
    preconditioner: Preconditioner | None,
    throw: bool,
) -> Tensor:
    """x, found outside of autograd, as a function of the parameters; NaN where the input was not finite.

    Gradients of failed systems are NaN, with a warning, unless their cotangent is zero: then so is the gradient.
    """
    bad = (status == Status.NONFINITE_INPUT).unsqueeze(-1)
    if is_differentiated(*parameters):
        x = attach(x, equation, parameters, _LinearSolves(status, solver, preconditioner, throw))
    # A sum, through which the cotangent of a failed system reaches its NaN.
    return x + torch.where(bad, torch.nan, 0).to(x.dtype) if bool(bad.any()) else x


@dataclass
class _LinearSolves:
    """Solves with J at the solution, and with Jᵀ; what is set up for J serves all of them."""

    status: Tensor
    solver: Solver | None
    preconditioner: Preconditioner | None
    throw: bool
    prepared: list[tuple[Solver, Inverse | None]] = field(default_factory=list)

    @torch.no_grad()
    def __call__(self, A: LinearOperator, g: Tensor, flipped: bool) -> Tensor:
        if not self.prepared:
            self.prepared.append(self.prepare(A.H if flipped else A))
        solver, inverse = self.prepared[0]
        if flipped and inverse is not None:
            inverse = inverse.H
        solver.check(A, inverse)
        failed = (self.status != Status.CONVERGED).unsqueeze(-1)
        outcome = solver.solve(A, torch.where(failed, 0, g), inverse, None)
        value = self.loud(outcome, failed.squeeze(-1))
        lost = failed & (g != 0).any(-1, keepdim=True)
        if lost.any():
            first = int(lost.reshape(-1).nonzero()[0])
            name = Status(int(self.status.reshape(-1)[first % self.status.numel()])).name
            warnings.warn(
                f"the gradient of system {first} of {lost.numel()} is NaN, because the system was not solved (status "
                f"{name}): leave it out of the loss, or raise throw=True",
                RuntimeWarning,
                stacklevel=2,
            )
        return torch.where(failed, torch.where(lost, torch.nan, 0), value)

    def prepare(self, J: LinearOperator) -> tuple[Solver, Inverse | None]:
        solver, preconditioner = (self.solver or default_solver(J, self.preconditioner)).choose(J, self.preconditioner)
        return solver, solver.setup(J, preconditioner)

    def loud(self, outcome: Outcome, ignored: Tensor) -> Tensor:
        """The outcome's value; systems that were not solved raise, or are NaN with a warning."""
        unsolved = (outcome.status != Status.CONVERGED) & ~ignored
        if not bool(unsolved.any()):
            return outcome.value
        try:
            _raise(outcome, unsolved)
        except SolveError as error:
            if self.throw:
                raise
            warnings.warn(f"{error} Its gradient is NaN.", RuntimeWarning, stacklevel=2)
        return torch.where(unsolved.unsqueeze(-1), torch.nan, outcome.value)


def _raise(outcome: Outcome, unsolved: Tensor) -> None:
    """Raise the `SolveError` of the first unsolved system, which says that a derivative asked for the solve."""
    status = torch.where(unsolved, outcome.status, Status.CONVERGED)
    stats = Stats(outcome.iterations, outcome.residual_norm, outcome.rhs_norm, outcome.products, 0.0, 0.0)
    try:
        Solution(outcome.value, status, stats).raise_if_failed()
    except Singular as error:
        where, total = error.batch_indices[0], status.numel()
        message = (
            f"derivative: system {where} of {total}: the Jacobian (of least squares: the Hessian) at the solution is "
            "singular, so that the solution has no derivative: remove unknowns that nothing determines, or add a small "
            "multiple of them to the residual."
        )
        raise Singular(message, error.status, error.batch_indices, error.residuals) from None
    except SolveError as error:
        mend = "Give an adjoint_solver, and a preconditioner for it."
        message = f"derivative, linear solve with the Jacobian at the solution: {error} {mend}"
        raise type(error)(message, error.status, error.batch_indices, error.residuals) from None
