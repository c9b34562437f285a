"""The Gauss–Newton method for a batch of nonlinear least-squares problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.nonlinear.descent import NonlinearMethod
from solvers.nonlinear.least_squares_descent import LeastSquaresDescent
from solvers.nonlinear.line_search import Backtracking, LineSearch
from solvers.status import Status

__all__ = ["GaussNewton"]


@dataclass(frozen=True)
class GaussNewton(NonlinearMethod):
    """x ← x + t s with the s that minimises ‖r + J s‖, and a step length t that makes ‖r‖ fall.

    Quadratically convergent where r vanishes at the solution; linearly, or not at all, where it is large and curved:
    then use `LevenbergMarquardt`. A system has converged as there; it ends with `Status.SINGULAR` where the columns of
    J depend on each other.

    Parameters
    ----------
    rtol, max_iterations, atol
        As in `NonlinearMethod`.
    line_search
        `Backtracking`, or `FullStep`.
    """

    line_search: LineSearch = field(default_factory=Backtracking)

    def start(self, function: Callable[[Tensor], Tensor], x: Tensor) -> LeastSquaresDescent:
        """A run from x."""
        return GaussNewtonDescent(self, function, x)


class GaussNewtonDescent(LeastSquaresDescent):
    """One run of `GaussNewton`."""

    method: GaussNewton

    def step(self) -> None:
        self.end(~self.model.full_rank, Status.SINGULAR)
        step, _, slope = self.model.undamped()
        step = torch.where(self.running, step, 0)
        x, value, found = self.method.line_search.search(self.evaluate, self.x, self.value, step, slope, self.running)
        self.end(~found, self.method.line_search.failure)
        self.move(found, x, value)
