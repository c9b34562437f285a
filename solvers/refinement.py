"""Iterative refinement: full accuracy from solves in half the precision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from solvers.errors import DTypeError, ToleranceError
from solvers.inverse import Inverse, Preconditioner
from solvers.krylov import CG
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["IterativeRefinement"]

_RUNNING = -1


@dataclass(frozen=True)
class IterativeRefinement(Solver):
    """x ← x + d with A d ≈ b − A x solved in low precision (Higham 2002, chapter 12; Wilkinson 1963).

    Every step multiplies the residual by about the tolerance of the inner solve, as long as cond(A) is well below
    1/eps of the low precision; three or four products with A in its own precision reach 1e-12.

    Parameters
    ----------
    inner
        The solver of the corrections; its tolerance need not be tight. A direct one factors in the low precision.
    dtype
        The low precision, ``torch.float32`` (complex64 of a complex operator).
    rtol
        A system has converged when its true residual satisfies ‖b − A x‖₂ ≤ rtol ‖b‖₂.
    max_refinements
        Systems still running after this many corrections end with `Status.MAX_ITERATIONS`.

    Notes
    -----
    A system whose residual falls by less than a factor 2 in one step ends with `Status.STAGNATION`, or with the status
    of the inner solve that failed. `Stats.iterations` counts the inner steps of each system, `Stats.products` the
    products in A's precision; `Stats.history` holds the relative residual before each correction and after the last.

    Raises
    ------
    DTypeError
        The operator's precision is not above `dtype`.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, linear_solve, poisson_operator
    >>> A = poisson_operator((64, 64))
    >>> b = torch.ones(64 * 64, dtype=torch.float64)
    >>> stats = linear_solve(A, b, IterativeRefinement(), GeometricMultigrid()).stats
    >>> stats.relative_residual < 1e-12, stats.products < 6
    (tensor(True), True)
    """

    inner: Solver = field(default_factory=lambda: CG(rtol=1e-4))
    dtype: torch.dtype = torch.float32
    rtol: float = 1e-12
    max_refinements: int = 20

    def choose(self, A: LinearOperator, preconditioner: Preconditioner | None) -> tuple[Solver, Preconditioner | None]:
        inner, preconditioner = self.inner.choose(self._low(A), preconditioner)
        return replace(self, inner=inner), preconditioner

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        eps = torch.finfo(A.dtype).eps
        if not 10 * eps <= self.rtol < 1:
            raise ToleranceError(
                f"rtol = {self.rtol:g}: {A.dtype} reaches relative residuals in [{10 * eps:.1e}, 1); choose one there"
            )
        self.inner.check(self._low(A), inverse)

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        """The inner solver's set-up, in low precision."""
        return self.inner.setup(self._low(A), preconditioner)

    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        """Works on b / max|b|, so that the result is homogeneous in b."""
        scale = A.largest(b)
        finite = scale.isfinite() & A.is_finite().unsqueeze(-1)
        if x is not None:
            finite = finite & A.largest(x).isfinite()
        scale = torch.where(finite & (scale > 0), scale, 1)
        b = torch.where(finite, b, 0) / scale
        guess = b.new_zeros(*b.shape[:-1], A.shape[1])
        if x is not None:
            guess = torch.where(finite & (A.norm(b) > 0), x / scale, guess)
        run = _Corrections(self.inner, self._low(A), A, inverse, b, guess)
        run.status[~finite] = Status.NONFINITE_INPUT
        run.to_the_end(self.rtol, self.max_refinements)
        return Outcome(
            torch.where(finite, run.x * scale, torch.nan),
            run.status.squeeze(-1),
            run.iterations.squeeze(-1),
            (run.residual * scale).squeeze(-1),
            (run.rhs_norm * scale).squeeze(-1),
            run.products,
            torch.stack(run.history).squeeze(-1),
        )

    def _low(self, A: LinearOperator) -> LinearOperator:
        low = self.dtype.to_complex() if A.dtype.is_complex else self.dtype
        if torch.finfo(low).eps <= torch.finfo(A.dtype).eps:
            raise DTypeError(
                f"{A!r}: IterativeRefinement in {low} needs an operator of higher precision; convert it with "
                ".to(torch.float64), or use the inner solver alone"
            )
        return A.replace(tuple(parameter.detach().to(low) for parameter in A.parameters()))


class _Corrections:
    """One batched run; scalars are ``(*batch, 1)``, finished systems get corrections of zero."""

    def __init__(
        self, inner: Solver, low: LinearOperator, A: LinearOperator, inverse: Inverse | None, b: Tensor, x: Tensor
    ) -> None:
        self.inner, self.low, self.A, self.inverse, self.b, self.x = inner, low, A, inverse, b, x
        self.rhs_norm = A.norm(b)
        self.r = b - A.mv(x)
        self.residual = A.norm(self.r)
        self.products = 1
        self.status = torch.full_like(self.residual, _RUNNING, dtype=torch.int8)
        self.iterations = torch.zeros_like(self.residual, dtype=torch.int32)
        self.history = [self.relative()]

    def relative(self) -> Tensor:
        return self.residual / torch.where(self.rhs_norm > 0, self.rhs_norm, 1)

    def to_the_end(self, rtol: float, limit: int) -> None:
        goal = rtol * self.rhs_norm
        for _ in range(limit):
            self.end(self.residual <= goal, Status.CONVERGED)
            if not (self.status == _RUNNING).any():
                return
            self.correct(goal)
        self.end(self.residual <= goal, Status.CONVERGED)
        self.end(self.status == _RUNNING, Status.MAX_ITERATIONS)

    def correct(self, goal: Tensor) -> None:
        """One correction of the systems that are running; only those that it improves take it."""
        A, running = self.A, self.status == _RUNNING
        size = torch.where(running, A.largest(self.r), 1)
        scaled = torch.where(running, self.r / size, 0).to(self.low.dtype)
        found = self.inner.solve(self.low, scaled, self.inverse, None)
        x = A.project(self.x + size * found.value.to(self.x.dtype))
        r = self.b - A.mv(x)
        residual = A.norm(r)
        self.products += 1
        self.iterations += torch.where(running, found.iterations.unsqueeze(-1), 0)
        stuck = ~(residual < 0.5 * self.residual)
        better = running & (residual < self.residual)
        self.x, self.r = torch.where(better, x, self.x), torch.where(better, r, self.r)
        self.residual = torch.where(better, residual, self.residual)
        self.history.append(self.relative())
        self.end(self.residual <= goal, Status.CONVERGED)
        failure = found.status.unsqueeze(-1)
        failure = torch.where(failure == Status.CONVERGED, Status.STAGNATION, failure).to(torch.int8)
        self.status = torch.where(stuck & (self.status == _RUNNING), failure, self.status)

    def end(self, where: Tensor, status: Status) -> None:
        self.status[where & (self.status == _RUNNING)] = status
