"""What came out of a solve: the value, how each system ended, what it cost."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.errors import Breakdown, Indefinite, NonFinite, NotConverged, Singular, SolveError
from solvers.status import Status

__all__ = ["Solution", "Stats"]


@dataclass(frozen=True)
class Stats:
    """Cost and accuracy of a batched solve.

    Attributes
    ----------
    iterations
        Steps taken by each system, ``(*batch)`` int32.
    residual_norm
        True residual ‖b − A x‖₂ at exit, ``(*batch)``.
    rhs_norm
        ‖b‖₂, ``(*batch)``.
    products
        Applications of the operator to the whole batch.
    setup_seconds, solve_seconds
        Wall-clock time of the preconditioner's set-up and of the iteration.
    history
        ‖r‖₂ / ‖b‖₂ before each step and after the last, ``(steps + 1, *batch)``, if the solver was asked to record it.
    method
        The solver and preconditioner that ran, such as "CG + GeometricMultigrid".
    fallbacks
        Steps in which the rule of `SafeguardedCG` or `EnrichedCG` was no use and the preconditioner stood in,
        ``(*batch)`` int32; None for other solvers.
    switched_at
        The step from which on the rule was not asked any more, −1 for none, ``(*batch)`` int32; `SafeguardedCG` only.
    """

    iterations: Tensor
    residual_norm: Tensor
    rhs_norm: Tensor
    products: int
    setup_seconds: float
    solve_seconds: float
    history: Tensor | None = None
    method: str = ""
    fallbacks: Tensor | None = None
    switched_at: Tensor | None = None

    @property
    def relative_residual(self) -> Tensor:
        """‖b − A x‖₂ / ‖b‖₂ per system; the absolute residual where b = 0."""
        return self.residual_norm / torch.where(self.rhs_norm > 0, self.rhs_norm, 1)


@dataclass(frozen=True)
class Solution:
    """Result of `linear_solve`.

    Attributes
    ----------
    value
        The solution ``(*batch, n)``; differentiable; NaN for systems whose input was not finite.
    status
        `Status` codes ``(*batch)`` int8.
    stats
        `Stats`.
    state
        What was set up for the operator (a factor, a hierarchy); hand it to the next solve as ``state=`` to reuse it.
    """

    value: Tensor
    status: Tensor
    stats: Stats
    state: Any = None

    @property
    def converged(self) -> Tensor:
        """True where the system was solved to the tolerance, ``(*batch)`` bool."""
        return self.status == Status.CONVERGED

    def raise_if_failed(self) -> "Solution":
        """Return self, or raise the `SolveError` subclass of the first system that failed."""
        failed = self.status.reshape(-1).nonzero().reshape(-1)
        if failed.numel() == 0:
            return self
        statuses = [Status(code) for code in self.status.reshape(-1)[failed].tolist()]
        residuals = self.stats.relative_residual.reshape(-1)[failed].tolist()
        steps = int(self.stats.iterations.reshape(-1)[failed[0]])
        error, cause, remedy = _DIAGNOSES[statuses[0]]
        others = f" ({failed.numel()} systems failed)" if failed.numel() > 1 else ""
        message = (
            f"system {int(failed[0])} of {self.status.numel()}: {cause} "
            f"(status {statuses[0].name}, relative residual {residuals[0]:.1e} after {steps} iterations){others}. "
            f"{remedy}"
        )
        raise error(message, statuses, failed.tolist(), residuals)


_DIAGNOSES: dict[Status, tuple[type[SolveError], str, str]] = {
    Status.MAX_ITERATIONS: (
        NotConverged,
        "the iteration limit came before the tolerance",
        "Raise max_iterations (and the restart of GMRES), loosen rtol, or give a preconditioner (GeometricMultigrid "
        "for grids).",
    ),
    Status.STAGNATION: (
        NotConverged,
        "the true residual stopped falling although the recurrence claims convergence",
        "Loosen rtol, solve in float64 or precondition: the tolerance is below what this precision reaches on this "
        "matrix.",
    ),
    Status.BREAKDOWN: (
        Breakdown,
        "the recurrence broke down: it would have to divide by zero",
        "Use GMRES (MINRES if the matrix is symmetric), or change x0 or the preconditioner.",
    ),
    Status.INDEFINITE: (
        Indefinite,
        "the matrix is not positive definite",
        "Check the sign of the operator and of its reaction term; if it is meant to be indefinite, use MINRES "
        "(symmetric) or GMRES.",
    ),
    Status.PRECONDITIONER_INDEFINITE: (
        Indefinite,
        "the preconditioner is not positive definite",
        "Check that the matrix itself is; use as many post- as pre-smoothing sweeps of a symmetric smoother; or use "
        "GMRES, which takes any preconditioner.",
    ),
    Status.PRECONDITIONER_UNDEFINED: (
        Breakdown,
        "its preconditioner cannot be set up",
        "Solve this system alone to read why (a zero on the diagonal, a matrix that is not definite), or use another "
        "preconditioner.",
    ),
    Status.SINGULAR: (
        Singular,
        "the matrix is (nearly) singular and no solution was found: probably the right-hand side is not in its range",
        "Subtract from b its component in the kernel (for Neumann and periodic problems: its mean), or use NormalCG "
        "for a least-squares solution.",
    ),
    Status.NONFINITE_INPUT: (
        NonFinite,
        "NaN or infinity in the matrix, the right-hand side or x0",
        "Check the inputs of this system with torch.isfinite.",
    ),
    Status.NONFINITE_ITERATE: (
        NonFinite,
        "an iterate overflowed",
        "Check the scaling of the operator and that the preconditioner returns finite values; Richardson diverges if "
        "omega is too large.",
    ),
}
