"""The Levenberg–Marquardt method for a batch of nonlinear least-squares problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers.nonlinear.descent import NonlinearMethod
from solvers.nonlinear.equations import gradient
from solvers.nonlinear.factorisations import Factorisation, Orthogonal
from solvers.nonlinear.least_squares_descent import LeastSquaresDescent
from solvers.nonlinear.linearisation import SquaresLinearised
from solvers.nonlinear.newton import Newton
from solvers.nonlinear.norm import norm
from solvers.nonlinear.residual_function import ResidualFunction, slope_of
from solvers.status import Status

__all__ = ["LevenbergMarquardt"]

_ACCEPTABLE_GAIN = 1e-4
_ROUNDING = 100
_UNSEEN = 100
_LEVEL = 1000


@dataclass(frozen=True)
class LevenbergMarquardt(NonlinearMethod):
    """x ← x + s with the s that minimises ‖r + J s‖² + λ ‖D s‖², D the lengths of J's columns (Marquardt 1963).

    Each system has its own damping λ, updated by the ratio of the actual to the predicted decrease of ‖r‖² (Nielsen
    1999). A system has converged when max |⟨Jⱼ, r⟩| ≤ rtol ‖Jⱼ‖ ‖r‖, or ‖D s‖ ≤ rtol ‖D x‖ for the Gauss–Newton step
    s, or r = 0: the units of r and of each unknown do not matter. Where ‖r‖ can no longer be seen to fall, rounding
    leaves an error of its square root in x; Newton steps on Jᵀr = 0 with the exact Hessian remove it ("polishing").
    With `NormalEquations` and a `ResidualFunction`, which brings second derivatives, they are taken as soon as that
    cosine is below √rtol, where the Hessian is positive definite and ‖r‖ does not rise.

    Parameters
    ----------
    rtol, max_iterations, atol
        As in `NonlinearMethod`.
    damping
        λ of the first step.
    polish
        Most Newton steps at the end. 0 leaves out second derivatives of r.
    factorisation
        Of J, which is formed, ``(*batch, m, n)``: `Orthogonal`, in which float32 keeps its digits, or
        `NormalEquations`, cheaper where m is much larger than n, in float64.
    """

    max_iterations: int = 200
    damping: float = 1e-3
    polish: int = 2
    factorisation: Factorisation = field(default_factory=Orthogonal)

    def start(self, function: Callable[[Tensor], Tensor], x: Tensor) -> LevenbergMarquardtDescent:
        """A run from x."""
        return LevenbergMarquardtDescent(self, function, x)


class LevenbergMarquardtDescent(LeastSquaresDescent):
    """One run of `LevenbergMarquardt`."""

    method: LevenbergMarquardt

    def __init__(self, method: LevenbergMarquardt, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        super().__init__(method, function, x, method.factorisation)
        self.damping = torch.full_like(self.size, method.damping)
        self.growth = torch.full_like(self.size, 2.0)
        #: Systems at which a Newton step has failed, and those that Newton steps have finished.
        self.barred = torch.zeros_like(self.size, dtype=torch.bool)
        self.finished = self.barred

    @property
    def closing(self) -> Tensor:
        """Running systems so close to a minimum that a Newton step squares the rest; only where JᵀJ is at hand."""
        if not (self.method.polish and isinstance(self.near, SquaresLinearised)):
            return torch.zeros_like(self.barred)
        close = self.model.cosine <= self.tolerance**0.5
        return self.running & ~self.barred & self.near.plain & self.model.full_rank & close

    def assess(self) -> None:
        """A minimum, as for Gauss–Newton; Newton steps under way come to their end first."""
        others = ~self.closing
        self.end(others & (self.model.cosine <= self.tolerance), Status.CONVERGED)
        step, _, _ = self.model.undamped()
        self.settle(others & (self.correction <= self.tolerance), step)

    def step(self) -> None:
        step, predicted = self.model.damped(self.damping)
        closing = self.closing
        if bool(closing.any()):
            newton, convex = self.newton_step()
            self.barred = self.barred | (closing & ~convex)
            closing = closing & convex
            step = torch.where(closing, newton, step)
        self.end(~closing & (predicted <= torch.finfo(predicted.dtype).eps), Status.STAGNATION)
        x = torch.where(self.running, self.x + step, self.x)
        value = self.evaluate(x)
        # (‖r‖² − ‖r₊‖²) / ‖r‖², with less cancellation.
        before, after = self.value / self.size, value / self.size
        actual = ((before - after) * (before + after)).sum(-1, keepdim=True)
        gain = torch.where(actual.isfinite(), actual / predicted, -1)
        # A Newton step may be lost in the rounding of r.
        level = actual >= -_LEVEL * torch.finfo(actual.dtype).eps
        self.barred = self.barred | (closing & ~level)
        better = self.running & torch.where(closing, level, gain > _ACCEPTABLE_GAIN)
        damped = self.running & ~closing
        shrunk = self.damping * (1 - (2 * gain - 1) ** 3).clamp(min=1 / 3)
        changed = torch.where(better, shrunk, self.damping * self.growth)
        self.damping = torch.where(damped, changed, self.damping)
        self.damping = self.damping.clamp(min=torch.finfo(predicted.dtype).tiny)
        self.growth = torch.where(damped, torch.where(better, 2, 2 * self.growth), self.growth)
        # A fall this small is lost in the rounding of r; the second step in a row that shows none is the last one.
        unseen = predicted <= _UNSEEN * torch.finfo(predicted.dtype).eps
        self.end(damped & ~better & unseen & (self.growth > 4), Status.STAGNATION)
        small = closing & level & (self.relative(norm(self.model.scale * step), self.model.scale) <= self.tolerance)
        self.move(better, x, value)
        if not bool(closing.any()):
            return
        correction = self.correction
        small = small & ((self.model.cosine <= self.tolerance) | (correction <= self.tolerance))
        # Or what a further step would change is far below the tolerance.
        small = small | (closing & level & (correction <= self.tolerance**1.5))
        self.end(small, Status.CONVERGED)
        self.finished = self.finished | small

    def newton_step(self) -> tuple[Tensor, Tensor]:
        """The step with the exact Hessian, and where that is positive definite; only for `closing` systems."""
        near, scale = self.near, self.model.scale
        assert isinstance(near, SquaresLinearised)
        hessian = (near.gram + near.function.curvature(self.x)) / scale.unsqueeze(-1) / scale.unsqueeze(-2)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        convex = (failed == 0).unsqueeze(-1)
        factor = torch.where(convex.unsqueeze(-1), factor, torch.eye(factor.shape[-1]).to(factor))
        y = -torch.cholesky_solve(self.model.slopes.unsqueeze(-1), factor).squeeze(-1)
        step = y * self.size / scale
        return step, convex & step.isfinite().all(-1, keepdim=True)

    def to_the_end(self) -> None:
        super().to_the_end()
        unfinished = (self.status == Status.STAGNATION) | (self.status == Status.MAX_ITERATIONS)
        # Where r vanishes the Gauss–Newton step is Newton's, and has come down to rounding by itself.
        rough = (self.status == Status.CONVERGED) & (self.correction > _ROUNDING * torch.finfo(self.x.dtype).eps)
        wanted = (unfinished | rough) & ~self.finished & (self.size > self.method.atol)
        if self.method.polish and wanted.any():
            self.polish(wanted)
            found = (self.model.cosine <= self.tolerance) | (self.correction <= self.tolerance)
            self.status[unfinished & found] = Status.CONVERGED

    def polish(self, where: Tensor) -> None:
        """Newton's method on the gradient; a system that it leads uphill stays."""
        # The unit of r is its present size, so that no square underflows.
        unit = torch.where(where, self.size, 1)
        slope = self.slope(unit)
        run = Newton(self.method.rtol, self.method.polish).start(slope, self.x)
        run.to_the_end()
        value = self.evaluate(run.x)
        uphill = norm(value) > self.size * (1 + 10 * torch.finfo(value.dtype).eps)
        self.iterations += torch.where(where, run.iterations, 0)
        self.move(where & ~uphill & value.isfinite().all(-1, keepdim=True), run.x, value)

    def slope(self, unit: Tensor) -> Callable[[Tensor], Tensor]:
        """The function x ↦ Jᵀr / unit², whose Jacobian is the exact Hessian."""
        if isinstance(self.function, ResidualFunction):
            return slope_of(self.function, unit)
        return gradient(lambda x: self.evaluate(x) / unit)
