"""What all Krylov methods share: scaling, statuses, restarts from the true residual, stopping."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.errors import TagError, ToleranceError
from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Outcome, Solver
from solvers.status import Status

__all__ = ["RUNNING", "Iteration", "KrylovSolver"]

RUNNING = -1
_RESTARTS = 2


@dataclass(frozen=True)
class KrylovSolver(Solver):
    """Parameters of every Krylov method.

    Parameters
    ----------
    rtol
        A system has converged when its true residual satisfies ‖b − A x‖₂ ≤ max(rtol ‖b‖₂, atol).
        None: 1e-8 in double, 1e-5 in single precision.
    max_iterations
        Systems still running after this many steps (of the inner iteration, where a method restarts) end with
        `Status.MAX_ITERATIONS`.
    atol
        Absolute floor; 0 keeps the solve homogeneous in b (also for cotangents of 1e-30).
    check_every
        Steps between two questions to the device whether all systems are done; the result does not depend on it.
        None: 1 on the CPU, 10 elsewhere.
    record_history
        Keep the relative residual of every step in ``Stats.history``; the device is then asked after each.
    """

    rtol: float | None = None
    max_iterations: int = 1000
    atol: float = 0.0
    check_every: int | None = None
    record_history: bool = False

    #: The algorithm behind the parameters.
    iteration: ClassVar[type[Iteration]]
    #: The preconditioner may change from step to step or be nonlinear.
    is_flexible: ClassVar[bool] = False
    #: The preconditioner must be Hermitian positive definite.
    needs_spd_inverse: ClassVar[bool] = False
    #: Rectangular operators are not served.
    needs_square: ClassVar[bool] = True

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        name = type(self).__name__
        self.tolerance(A.dtype)
        self._check_limits()
        if self.needs_square and A.shape[0] != A.shape[1]:
            raise TagError(f"{A!r} is not square, as {name} needs: use NormalCG for least squares")
        if inverse is None:
            return
        if not (inverse.is_linear or self.is_flexible):
            raise TagError(f"{type(inverse).__name__} is not a linear map: {name} needs one; use FlexibleCG or FGMRES")
        if self.needs_spd_inverse and not inverse.is_spd:
            raise TagError(
                f"{type(inverse).__name__} is not symmetric positive definite, as {name} needs of a preconditioner: "
                "use a symmetric one (equal pre- and post-smoothing), or GMRES"
            )

    def tolerance(self, dtype: torch.dtype) -> float:
        """The relative tolerance used for this dtype; raises `ToleranceError` if it is out of its reach."""
        eps = torch.finfo(dtype).eps
        if self.rtol is None:
            return 1e-8 if eps < 1e-10 else 1e-5
        if not 50 * eps <= self.rtol < 1:
            double = "choose one of these" if eps < 1e-10 else "use float64, or IterativeRefinement of a float64 system"
            raise ToleranceError(
                f"rtol = {self.rtol:g}: {dtype} reaches relative residuals in [{50 * eps:.1e}, 1); {double}"
            )
        return self.rtol

    def _check_limits(self) -> None:
        """Raise `ToleranceError` for numbers that no method can keep to."""
        name = type(self).__name__
        if not self.atol >= 0:  # NaN, too
            raise ToleranceError(f"atol = {self.atol:g}: {name} takes an absolute floor of at least 0")
        if self.max_iterations < 0:
            raise ToleranceError(f"max_iterations = {self.max_iterations}: {name} takes a limit of at least 0 steps")
        if self.check_every is not None and self.check_every < 1:
            raise ToleranceError(
                f"check_every = {self.check_every}: {name} looks after at least 1 step; None chooses by device"
            )

    @torch.no_grad()
    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        """Works on b of size one, so that the result is homogeneous in b from 1e-30 to 1e+30."""
        size = A.largest(b)
        finite = size.isfinite() & A.is_finite().unsqueeze(-1)
        if x is not None:
            finite = finite & A.largest(x).isfinite()
        # A power of two, by which nothing is rounded: the residual that was reached is that of the scaled x, too.
        power = torch.ldexp(torch.ones_like(size), torch.frexp(size).exponent - 1)
        scale = torch.where(finite & (size > 0), power, 1)
        b = torch.where(finite, b, 0) / scale
        nonzero = A.norm(b) > 0
        guess = b.new_zeros(*b.shape[:-1], A.shape[1])
        if x is not None:
            guess = torch.where(finite & nonzero, x / scale, guess)
        run = self.iteration(self, A, inverse, b, guess, self.atol / scale)
        run.status[~finite] = Status.NONFINITE_INPUT
        residual = run.to_the_end()
        value = torch.where(run.status == Status.NONFINITE_INPUT, torch.nan, run.x * scale)
        return Outcome(
            value,
            run.status.squeeze(-1),
            run.iterations.squeeze(-1),
            (residual * scale).squeeze(-1),
            (run.rhs_norm * scale).squeeze(-1),
            run.products,
            torch.stack(run.history).squeeze(-1) if run.record else None,
            None if run.fallbacks is None else run.fallbacks.squeeze(-1),
            None if run.switched_at is None else run.switched_at.squeeze(-1),
        )


class Iteration(ABC):
    """One batched run of a method; scalars are ``(*batch, 1)``, finished systems take steps of length zero.

    A method implements `descend`; the rest is the same for all.
    """

    #: Of methods that follow a rule of directions: steps that could not, and the step that gave the rule up (−1: none).
    fallbacks: Tensor | None = None
    switched_at: Tensor | None = None

    def __init__(
        self,
        solver: KrylovSolver,
        A: LinearOperator,
        inverse: Inverse | None,
        b: Tensor,
        x: Tensor,
        floor: Tensor,
    ) -> None:
        self.solver, self.A, self.inverse, self.b, self.x = solver, A, inverse, b, x
        self.products = 0
        self.record = solver.record_history
        self.history: list[Tensor] = []
        self.rhs_norm = self.measure(b)
        self.goal = torch.maximum(solver.tolerance(b.dtype) * self.rhs_norm, floor)
        self.max_iterations = solver.max_iterations
        self.check_every = 1 if self.record else solver.check_every or (1 if b.device.type == "cpu" else 10)
        self.status = torch.full_like(self.goal, RUNNING, dtype=torch.int8)
        self.iterations = torch.zeros_like(self.goal, dtype=torch.int32)

    @abstractmethod
    def descend(self, r: Tensor) -> None:
        """Iterate from the residual r of `x` until the recurrence claims convergence for every running system.

        Advances `x`, `iterations` and `products`, `note`s the residual of each step, and `end`s systems that break
        down. Leaves CONVERGED and MAX_ITERATIONS to `to_the_end`, which looks at the true residual.
        """

    def apply(self, x: Tensor) -> Tensor:
        """A x, counted, without the checks and the bookkeeping of `LinearOperator.mv`. Not to be changed in place."""
        self.products += 1
        return self.A._mv(x)

    def precondition(self, r: Tensor) -> Tensor:
        """M r; r itself without a preconditioner. Not to be changed in place."""
        return r if self.inverse is None else self.inverse(r)

    def measure(self, r: Tensor) -> Tensor:
        """The size of a residual that is compared with the tolerance."""
        return self.A.norm(r)

    def stepped(self, moving: Tensor, residual: Tensor) -> Tensor:
        """Count a step of the systems `moving`, which has led to residuals of this size; those that go on."""
        self.iterations += moving
        self.note(residual)
        return moving & (residual > self.goal) & (self.iterations < self.max_iterations)

    def is_over(self, step: int, moving: Tensor) -> bool:
        """Whether no system is moving: the one question to the device, asked every `check_every` steps."""
        return step % self.check_every == 0 and not moving.any()

    def to_the_end(self) -> Tensor:
        """Iterate until every system has a status that its *true* residual supports; return that residual's norm."""
        for attempt in range(_RESTARTS + 1):
            r, residual = self.true_residual()
            if attempt == 0:
                self.note(residual)
            self.judge(residual, slack=1.01 if attempt else 1.0)
            if not (self.status == RUNNING).any():
                return residual
            self.descend(r)
        _, residual = self.true_residual()
        self.judge(residual, slack=1.01)
        self.end(self.status == RUNNING, Status.STAGNATION)
        return residual

    def judge(self, residual: Tensor, slack: float) -> None:
        """Give running systems the status that the true residual implies."""
        self.end(residual <= slack * self.goal, Status.CONVERGED)
        self.end(~residual.isfinite(), Status.NONFINITE_ITERATE)
        self.end(self.iterations >= self.max_iterations, Status.MAX_ITERATIONS)

    def true_residual(self) -> tuple[Tensor, Tensor]:
        """b − A x and its size."""
        r = self.b - self.apply(self.x)
        return r, self.measure(r)

    def end(self, where: Tensor, status: Status) -> None:
        """Give `status` to the systems that are still running and satisfy `where`."""
        self.status.masked_fill_(where & (self.status == RUNNING), int(status))

    def note(self, residual: Tensor) -> None:
        """Record the residual's size after a step, if the history is wanted."""
        if self.record:
            self.history.append(residual / torch.where(self.rhs_norm > 0, self.rhs_norm, 1))
