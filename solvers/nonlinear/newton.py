"""Newton's method for a batch of nonlinear systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.inverse import Preconditioner
from solvers.nonlinear.descent import Descent, NonlinearMethod
from solvers.nonlinear.line_search import Backtracking, LineSearch
from solvers.nonlinear.linear_solver import default_solver
from solvers.nonlinear.norm import norm
from solvers.nonlinear.residual_function import jacobian_operator
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["Newton", "NewtonDescent"]

#: Relative residual of the linear systems of the matrix-free method: four more digits a step in the end.
_FORCING = 1e-4


@dataclass(frozen=True)
class Newton(NonlinearMethod):
    """x ← x + t s with J(x) s = −f(x), and a step length t that makes ‖f‖ fall.

    A system has converged when ‖s‖ ≤ rtol ‖x‖ (that step is taken, too, so that quadratic convergence squares the
    error once more) or f(x) = 0. It ends with `Status.SINGULAR` where J has no inverse, and with `Status.STAGNATION`
    where no step length makes ‖f‖ fall: at a minimum of ‖f‖ that is no root, or at the level of rounding.
    Multiplying f by any regular matrix, or x by a number, changes nothing but step lengths.

    Parameters
    ----------
    rtol, max_iterations, atol
        As in `NonlinearMethod`.
    linear_solver
        For J s = −f. None: `DenseLU` up to 512 unknowns; above that, or with a preconditioner, `GMRES` to a relative
        residual of 1e-4 with products by automatic differentiation.
    preconditioner
        A recipe that is set up for each Jacobian.
    line_search
        `Backtracking`, or `FullStep` for the undamped method.
    """

    linear_solver: Solver | None = None
    preconditioner: Preconditioner | None = None
    line_search: LineSearch = field(default_factory=Backtracking)

    def start(self, function: Callable[[Tensor], Tensor], x: Tensor) -> NewtonDescent:
        """A run from x."""
        return NewtonDescent(self, function, x)


class NewtonDescent(Descent):
    """One run of `Newton`."""

    method: Newton

    def __init__(self, method: Newton, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        super().__init__(method, function, x)
        self.last = torch.full_like(self.size, torch.inf)

    @property
    def correction(self) -> Tensor:
        return self.last

    def assess(self) -> None:
        """f = 0 is all that can be seen without a step."""

    def step(self) -> None:
        outcome = self.newton_step()
        solved = outcome.status.unsqueeze(-1)
        self.end((solved == Status.SINGULAR) | (solved == Status.BREAKDOWN), Status.SINGULAR)
        step = outcome.value
        self.end(~step.isfinite().all(-1, keepdim=True), Status.NONFINITE_ITERATE)
        step = torch.where(self.running, step, 0)
        self.last = torch.where(self.running, self.relative(norm(step)), self.last)
        self.settle((self.last <= self.tolerance) & (solved == Status.CONVERGED), step)
        if not self.running.any():
            return
        slope = torch.ones_like(self.size)
        x, value, found = self.method.line_search.search(self.evaluate, self.x, self.value, step, slope, self.running)
        self.end(~found, self.method.line_search.failure)
        self.move(found, x, value)

    def newton_step(self) -> Outcome:
        """The solution of J s = −f; zero for systems that have ended."""
        J = jacobian_operator(self.function, self.x)
        self.jacobians += 1
        linear_solver = self.method.linear_solver or default_solver(J, self.method.preconditioner, _FORCING)
        linear_solver, preconditioner = linear_solver.choose(J, self.method.preconditioner)
        inverse = linear_solver.setup(J, preconditioner)
        linear_solver.check(J, inverse)
        return linear_solver.solve(J, torch.where(self.running, -self.value, 0), inverse, None)
