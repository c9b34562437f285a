"""A second solver for the systems on which the first one failed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.implicit import Solve
from solvers.inverse import Inverse, Preconditioner
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["Fallback"]


@dataclass(frozen=True)
class Fallback(Solver):
    """Solve by `first`; solve the systems that it did not converge again by `second`, from the better start.

    Both use the same preconditioner. Iterations and products add up.

    Parameters
    ----------
    first, second
        Solvers that serve the operator, such as ``BiCGStab()`` and ``GMRES()``.

    Examples
    --------
    >>> import torch
    >>> from solvers import GMRES, BiCGStab, CSROperator, linear_solve
    >>> skew = CSROperator.from_dense(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64))
    >>> linear_solve(skew, torch.ones(2, dtype=torch.float64), Fallback(BiCGStab(), GMRES())).value
    tensor([-1.,  1.], dtype=torch.float64)
    """

    first: Solver
    second: Solver

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        self.first.check(A, inverse)
        self.second.check(A, inverse)

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        return self.first.setup(A, preconditioner)

    def differentiably(self, A: LinearOperator, b: Tensor, forward: Solve, again: Solve) -> Tensor:
        return self.second.differentiably(A, b, forward, again)

    def for_derivatives(self) -> Solver:
        return Fallback(self.first.for_derivatives(), self.second.for_derivatives())

    @torch.no_grad()
    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        one = self.first.solve(A, b, inverse, x)
        failed = (one.status != Status.CONVERGED) & (one.status != Status.NONFINITE_INPUT)
        if not failed.any():
            return one
        pick = failed.unsqueeze(-1)
        # Zero systems cost the second solver no step.
        two = self.second.solve(A, torch.where(pick, b, 0), inverse, _better_start(one, pick, x))
        return Outcome(
            torch.where(pick, two.value, one.value),
            torch.where(failed, two.status, one.status),
            one.iterations + torch.where(failed, two.iterations, 0),
            torch.where(failed, two.residual_norm, one.residual_norm),
            torch.where(failed, two.rhs_norm, one.rhs_norm),
            one.products + two.products,
            _joined(one.history, two.history, failed),
        )


def _better_start(one: Outcome, pick: Tensor, x: Tensor | None) -> Tensor:
    """The first solver's value where its residual is smaller than that of zero; else the caller's guess, or zero."""
    usable = pick & (one.residual_norm < one.rhs_norm).unsqueeze(-1)
    return torch.where(usable, one.value, 0 if x is None else torch.where(pick, x, 0))


def _joined(first: Tensor | None, second: Tensor | None, failed: Tensor) -> Tensor | None:
    """Both histories; systems that the first solver converged stay where they were."""
    if first is None or second is None:
        return None
    return torch.cat([first, torch.where(failed, second[1:], first[-1])])
