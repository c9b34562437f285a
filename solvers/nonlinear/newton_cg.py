"""Newton's method with conjugate gradients for a batch of convex functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor

from solvers.errors import ToleranceError
from solvers.krylov import CG
from solvers.nonlinear.descent import Descent, NonlinearMethod
from solvers.nonlinear.norm import norm
from solvers.nonlinear.objective import Objective, as_objective, bound_objective
from solvers.nonlinear.solution import NonlinearSolution, NonlinearStats
from solvers.operators.identity import IdentityOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.status import Status

__all__ = ["NewtonCG", "NewtonCGDescent"]

_LARGEST_FORCING = 0.1
_DECREASE = 1e-4
_TRIALS = 40
_PATIENCE = 12  # trials after which lengths shrink faster


@dataclass(frozen=True)
class NewtonCG(NonlinearMethod):
    """x ← x + t s with ∇²F(x) s ≈ −∇F(x) by conjugate gradients (Dembo & Steihaug 1983), for convex F.

    A system has converged when ‖∇F(x)‖₂ ≤ atol, or when a Newton step is so short that ‖s‖ ≤ rtol ‖x‖. The linear
    systems are solved to a relative residual of min(0.1, ‖s‖/‖x‖) with the last step s, which makes the convergence
    superlinear whatever the units; directions without curvature end the linear iteration. Nothing of size n × n is
    formed. A step length is accepted where F falls enough (Armijo 1966); at the level of rounding, where the values of
    F say nothing any more, where the slope along s or the gradient does.

    Parameters
    ----------
    rtol, max_iterations, atol
        As in `NonlinearMethod`.
    max_products
        Products with the Hessian for each step; a step that is cut short still descends.
    damping
        Adds damping · ‖∇F‖ to the Hessian's diagonal, which vanishes at the solution (Li, Fukushima, Qi & Yamashita
        2004): for functions that are convex, but not strongly.
    """

    max_products: int = 500
    damping: float = 0.0

    def __post_init__(self) -> None:
        if self.max_products < 1 or not self.damping >= 0:
            raise ToleranceError(
                f"max_products = {self.max_products}, damping = {self.damping:g}: NewtonCG takes at least 1 product a "
                "step and a damping of at least 0"
            )

    def start(self, function: Callable[[Tensor], Tensor], x: Tensor) -> NewtonCGDescent:
        """A run from x."""
        return NewtonCGDescent(self, as_objective(function), x)

    @torch.no_grad()
    def solve(self, function: Callable[..., Tensor], x: Tensor, parameters: tuple[Tensor, ...]) -> NonlinearSolution:
        """The last iterates from x for ``function(x, *parameters)``, outside of autograd; raises for no system."""
        began = perf_counter()
        fixed = tuple(p.detach() for p in parameters)
        run = self.start(bound_objective(as_objective(function), fixed), x.detach())
        run.to_the_end()
        return NonlinearSolution(run.x, run.status.squeeze(-1), run.statistics(perf_counter() - began))


class NewtonCGDescent(Descent):
    """One run of `NewtonCG`; `value` and `size` are the gradient and its norm, `height` is F ``(*batch, 1)``."""

    method: NewtonCG

    def __init__(self, method: NewtonCG, objective: Objective, x: Tensor) -> None:
        self.objective = objective
        super().__init__(method, objective.gradient, x)
        self.height = objective.value_and_gradient(self.x)[0].unsqueeze(-1)
        self.end(~self.height.isfinite(), Status.NONFINITE_INPUT)
        self.last = torch.full_like(self.size, torch.inf)
        self.products = torch.zeros_like(self.iterations)

    @property
    def correction(self) -> Tensor:
        return self.last

    def statistics(self, seconds: float) -> NonlinearStats:
        return replace(super().statistics(seconds), products=self.products.squeeze(-1))

    def assess(self) -> None:
        """∇F = 0 is all that can be seen without a step."""

    def step(self) -> None:
        step, solved = self.newton_step()
        self.end(~step.isfinite().all(-1, keepdim=True), Status.NONFINITE_ITERATE)
        step = torch.where(self.running, step, 0)
        slope = (self.value * step).sum(-1, keepdim=True)
        self.end(~(slope < 0), Status.STAGNATION)
        self.last = torch.where(self.running, self.relative(norm(step)), self.last)
        self.settle((self.last <= self.tolerance) & solved, step)
        if self.running.any():
            self.search(step, slope)

    def newton_step(self) -> tuple[Tensor, Tensor]:
        """s with H s ≈ −∇F, zero for systems that have ended, and where that was reached ``(*batch, 1)``."""
        hessian: LinearOperator = self.objective.hessian(self.x)
        self.jacobians += 1
        if self.method.damping > 0:
            identity = IdentityOperator(self.x.shape[-1], self.x.dtype, self.x.device)
            hessian = hessian + (self.method.damping * self.size.squeeze(-1)) * identity
        forcing = self.last.clamp(max=_LARGEST_FORCING)
        goal = torch.maximum(forcing * self.size, torch.full_like(self.size, self.method.atol / 4))
        running = self.running & (goal > 0)
        # Every system has a tolerance of its own: scaled by it, all have the tolerance one.
        unit = torch.where(running, goal, 1)
        solver = CG(200 * torch.finfo(unit.dtype).eps, self.method.max_products, atol=1.0, assume_spd=True)
        outcome = solver.solve(hessian, torch.where(running, -self.value / unit, 0), None, None)
        self.products += torch.where(running, outcome.iterations.unsqueeze(-1), 0)
        step = outcome.value * unit
        # No curvature along the gradient: it is the direction that is left.
        step = torch.where(running & (norm(step) == 0), -self.value, step)
        return step, outcome.status.unsqueeze(-1) == Status.CONVERGED

    def search(self, step: Tensor, slope: Tensor) -> None:
        """Move every running system to the first of the lengths 1, … that makes F fall enough."""
        searching, length = self.running, torch.ones_like(slope)
        slack = torch.finfo(slope.dtype).eps ** 0.5 * self.height.abs()
        found = (self.x, self.value, self.height)
        for trials in range(_TRIALS):
            trial = torch.where(searching, self.x + length * step, found[0])
            self.evaluations += 1
            height, gradient = self.objective.value_and_gradient(trial)
            height = height.unsqueeze(-1)
            there = (gradient * step).sum(-1, keepdim=True)
            enough = height <= self.height + _DECREASE * length * slope
            # F(x) ≥ F(x + t s) − t F'(x + t s; s), as F is convex: a slope that is left proves a decrease.
            enough |= there <= _DECREASE * slope
            enough |= (norm(gradient) <= self.size / 2) & (height <= self.height + slack)
            accepted = searching & enough & height.isfinite() & norm(gradient).isfinite()
            found = (
                torch.where(accepted, trial, found[0]),
                torch.where(accepted, gradient, found[1]),
                torch.where(accepted, height, found[2]),
            )
            searching = searching & ~accepted
            if not searching.any():
                break
            secant = length * slope / (slope - there)
            secant = torch.where(secant.isfinite(), secant, length / 2)
            # Where the curvature has all but vanished, steps can be too long by many orders of magnitude.
            shortest = 10 if trials < _PATIENCE else 1000
            longest = 2 if trials < _PATIENCE else 100
            length = torch.maximum(torch.minimum(secant, length / longest), length / shortest)
        self.end(searching, Status.STAGNATION)
        self.height = found[2]
        self.move(self.running, found[0], found[1])
