"""Richardson's iteration: a preconditioner (multigrid, above all) as a solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver

__all__ = ["Richardson"]


class RichardsonIteration(Iteration):
    """x ← x + ω M (b − A x)."""

    solver: Richardson

    def descend(self, r: Tensor) -> None:
        moving = self.status == RUNNING
        for step in range(1, self.max_iterations + 1):
            self.x.addcmul_(torch.where(moving, self.solver.omega, 0), self.precondition(r))
            r, residual = self.true_residual()
            moving = self.stepped(moving, residual) & residual.isfinite()
            if self.is_over(step, moving):
                return


@dataclass(frozen=True)
class Richardson(KrylovSolver):
    """x ← x + ω M (b − A x), for any preconditioner; converges if ‖I − ω M A‖ < 1 in some norm.

    With `GeometricMultigrid` this is multigrid as a solver: the residual falls by the same factor every cycle.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.
    omega
        Step length.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, linear_solve, poisson_operator
    >>> A, b = poisson_operator((32, 32)), torch.ones(1024, dtype=torch.float64)
    >>> linear_solve(A, b, Richardson(), GeometricMultigrid()).stats.iterations < 20
    tensor(True)
    """

    omega: float = 1.0

    iteration: ClassVar[type[Iteration]] = RichardsonIteration
    is_flexible: ClassVar[bool] = True
