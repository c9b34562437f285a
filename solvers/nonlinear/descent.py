"""What Newton's and the least-squares methods share: statuses, frozen systems, the count of steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from solvers.errors import ToleranceError
from solvers.nonlinear.norm import norm
from solvers.nonlinear.residual_function import bound
from solvers.nonlinear.solution import NonlinearSolution, NonlinearStats
from solvers.status import Status

__all__ = ["RUNNING", "Descent", "NonlinearMethod"]

RUNNING = -1


@dataclass(frozen=True)
class NonlinearMethod(ABC):
    """Parameters of every nonlinear method.

    Parameters
    ----------
    rtol
        Relative accuracy of x that is asked for; each method says how it is judged. Never relative to the residual of
        x0, which says more about the guess than about the equation. None: 1e-8 in double, 1e-4 in single precision.
    max_iterations
        Systems still running after this many steps end with `Status.MAX_ITERATIONS`.
    atol
        A system with ‖f(x)‖₂ ≤ atol has converged, whatever else. 0 keeps the method independent of units.
    """

    rtol: float | None = None
    max_iterations: int = 50
    atol: float = 0.0

    @abstractmethod
    def start(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Descent:
        """A run from x."""

    @torch.no_grad()
    def solve(self, function: Callable[..., Tensor], x: Tensor, parameters: tuple[Tensor, ...]) -> NonlinearSolution:
        """The last iterates from x of ``function(x, *parameters)``, outside of autograd; raises for no system."""
        began = perf_counter()
        fixed = tuple(p.detach() for p in parameters)
        run = self.start(bound(function, fixed), x.detach())
        run.to_the_end()
        return NonlinearSolution(run.x, run.status.squeeze(-1), run.statistics(perf_counter() - began))

    def tolerance(self, dtype: torch.dtype) -> float:
        """The relative tolerance used for this dtype; raises `ToleranceError` if it is out of its reach."""
        eps = torch.finfo(dtype).eps
        if self.rtol is None:
            return 1e-8 if eps < 1e-10 else 1e-4
        if not 10 * eps <= self.rtol < 1:
            raise ToleranceError(
                f"rtol = {self.rtol:g}: {dtype} reaches relative accuracies in [{10 * eps:.1e}, 1); choose one of these"
            )
        return self.rtol


class Descent(ABC):
    """One batched run of a method; scalars are ``(*batch, 1)``, finished systems do not move.

    Attributes
    ----------
    x, value, size
        The iterates, f(x), and ‖f(x)‖.
    """

    def __init__(self, method: NonlinearMethod, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        self.method, self.function, self.tolerance = method, function, method.tolerance(x.dtype)
        self.evaluations, self.jacobians = 0, 0
        finite = x.isfinite().all(-1, keepdim=True)
        # A stand-in, so that the other systems can be computed side by side with this one.
        self.x = self.previous = torch.where(finite, x, 0)
        self.value = torch.where(finite, self.evaluate(self.x), torch.nan)
        self.size = self.initial_size = norm(self.value)
        self.status = torch.full_like(self.size, RUNNING, dtype=torch.int8)
        self.iterations = torch.zeros_like(self.size, dtype=torch.int32)
        self.end(~self.size.isfinite(), Status.NONFINITE_INPUT)

    @property
    @abstractmethod
    def correction(self) -> Tensor:
        """‖s‖ / ‖x‖ of the last (Gauss–)Newton step s that is known; infinite if none is."""

    @abstractmethod
    def assess(self) -> None:
        """End the systems whose iterate is a solution, or at which the method cannot go on."""

    @abstractmethod
    def step(self) -> None:
        """Move every running system."""

    def to_the_end(self) -> None:
        """Iterate until every system has a status."""
        for count in range(self.method.max_iterations + 1):
            self.end(self.size <= self.method.atol, Status.CONVERGED)
            if self.running.any():
                self.assess()
            if count == self.method.max_iterations:
                self.end(self.running, Status.MAX_ITERATIONS)
            if not self.running.any():
                return
            self.iterations += self.running
            self.step()

    def statistics(self, seconds: float) -> NonlinearStats:
        """What the run cost, and how accurate it is."""
        return NonlinearStats(
            self.iterations.squeeze(-1),
            self.size.squeeze(-1),
            self.initial_size.squeeze(-1),
            self.correction.squeeze(-1),
            self.evaluations,
            self.jacobians,
            seconds,
            type(self.method).__name__,
        )

    @property
    def running(self) -> Tensor:
        return self.status == RUNNING

    def end(self, where: Tensor, status: Status) -> None:
        """Give `status` to the systems that are still running and satisfy `where`."""
        self.status[where & self.running] = status

    def evaluate(self, x: Tensor) -> Tensor:
        """f(x), counted."""
        self.evaluations += 1
        return self.function(x)

    def move(self, where: Tensor, x: Tensor, value: Tensor) -> None:
        """Let the systems `where` go to x."""
        self.previous = torch.where(where, self.x, self.previous)
        self.x, self.value = torch.where(where, x, self.x), torch.where(where, value, self.value)
        self.size = norm(self.value)

    def settle(self, where: Tensor, step: Tensor) -> None:
        """End systems whose step is below the tolerance: it is still taken, unless that makes the residual larger."""
        where = where & self.running
        if where.any():
            x = torch.where(where, self.x + step, self.x)
            value = self.evaluate(x)
            self.move(where & (norm(value) <= self.size), x, value)
            self.end(where, Status.CONVERGED)

    def relative(self, length: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """The length of a step D s relative to D x: of this x or the last one, whichever is larger.

        So convergence to x = 0 is seen, too: where it is quadratic, the quotient becomes small.
        """
        reach = torch.maximum(norm(scale * self.x), norm(scale * self.previous))
        return torch.where(length > 0, length / reach, 0)
