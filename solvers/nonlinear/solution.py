"""What came out of a nonlinear solve: the value, how each system ended, what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from solvers.errors import NonFinite, NotConverged, Singular, SolveError
from solvers.status import Status

__all__ = ["NonlinearSolution", "NonlinearStats"]


@dataclass(frozen=True)
class NonlinearStats:
    """Cost and accuracy of a batched nonlinear solve.

    Attributes
    ----------
    iterations
        Steps tried by each system, ``(*batch)`` int32.
    residual_norm, initial_residual_norm
        ‖f‖₂ at the solution and at x0, ``(*batch)``; of `minimize` that of the gradient.
    correction
        ‖s‖ / ‖x‖ of the last Newton step s that was computed, ``(*batch)``: an estimate of the relative error before it
        was taken, infinite if none was. Of least squares: ‖D s‖ / ‖D x‖ of the next Gauss–Newton step, D the lengths of
        J's columns.
    evaluations, jacobians
        Of f and of ∂f/∂x for the whole batch.
    solve_seconds
        Wall-clock time.
    method
        The method that ran.
    cosine
        max over j of |⟨Jⱼ, r⟩| / (‖Jⱼ‖ ‖r‖) at a least-squares solution, ``(*batch)``: 0 at a minimum.
    condition
        Condition number of J there, columns scaled to unit length; infinite if they depend on each other.
    products
        Of `minimize`: products with the Hessian that each system took, ``(*batch)`` int32.
    """

    iterations: Tensor
    residual_norm: Tensor
    initial_residual_norm: Tensor
    correction: Tensor
    evaluations: int
    jacobians: int
    solve_seconds: float
    method: str
    cosine: Tensor | None = None
    condition: Tensor | None = None
    products: Tensor | None = None


@dataclass(frozen=True)
class NonlinearSolution:
    """Result of `root`, `least_squares` and `minimize`.

    Attributes
    ----------
    value
        The solution ``(*batch, n)``, the last iterate of a system that failed; differentiable; NaN for systems whose
        input was not finite.
    status
        `Status` codes ``(*batch)`` int8.
    stats
        `NonlinearStats`.
    """

    value: Tensor
    status: Tensor
    stats: NonlinearStats

    @property
    def converged(self) -> Tensor:
        """True where the system was solved to the tolerance, ``(*batch)`` bool."""
        return self.status == Status.CONVERGED

    def raise_if_failed(self) -> NonlinearSolution:
        """Return self, or raise the `SolveError` subclass of the first system that failed."""
        failed = self.status.reshape(-1).nonzero().reshape(-1)
        if failed.numel() == 0:
            return self
        statuses = [Status(code) for code in self.status.reshape(-1)[failed].tolist()]
        reached = self.stats.residual_norm.reshape(-1)[failed].tolist()
        began = float(self.stats.initial_residual_norm.reshape(-1)[failed[0]])
        steps = int(self.stats.iterations.reshape(-1)[failed[0]])
        error, cause, remedy = _DIAGNOSES[statuses[0]]
        others = f" ({failed.numel()} systems failed)" if failed.numel() > 1 else ""
        raise error(
            f"system {int(failed[0])} of {self.status.numel()}: {cause} ({self.stats.method}, status "
            f"{statuses[0].name}, residual norm {reached[0]:.1e} after {steps} iterations, {began:.1e} at x0){others}. "
            f"{remedy}",
            statuses,
            failed.tolist(),
            reached,
        )


_DIAGNOSES: dict[Status, tuple[type[SolveError], str, str]] = {
    Status.MAX_ITERATIONS: (
        NotConverged,
        "the iteration limit came before the tolerance",
        "Raise max_iterations, loosen rtol, or start closer to the solution; at a solution where the Jacobian is "
        "singular convergence is slow: then give an atol.",
    ),
    Status.STAGNATION: (
        NotConverged,
        "no step makes the residual fall any more",
        "It is at the level of rounding (then loosen rtol or give an atol), or at a minimum that is no root (then "
        "change x0), or the derivative of the function is wrong.",
    ),
    Status.SINGULAR: (
        Singular,
        "the Jacobian is singular",
        "Change x0, remove unknowns on which the function does not depend, or use "
        "least_squares(..., solver=LevenbergMarquardt()), whose damping needs no inverse.",
    ),
    Status.NONFINITE_INPUT: (
        NonFinite,
        "NaN or infinity in x0 or in the function there",
        "Check x0 and the parameters of this system with torch.isfinite, and that x0 is inside the function's domain.",
    ),
    Status.NONFINITE_ITERATE: (
        NonFinite,
        "the function or its Jacobian became infinite or NaN on the way",
        "Start closer to the solution, write f without overflow, or bound x by a change of variables; FullStep() does "
        "not shorten steps that leave the domain, Backtracking() does.",
    ),
}
