"""Forward–backward splitting: a gradient step on the data, a proximal step on the prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.method import Method, Trace, relative_change, weights, where_sample
from sciml.plug_and_play.priors import Prior, ProximalPoint
from sciml.plug_and_play.reconstruction import Reconstruction
from solvers import Status

__all__ = ["AcceleratedProximalGradient", "ProximalGradient", "step_bound"]

_SAFETY = 0.99
_PART = 0.2


@dataclass(frozen=True)
class ProximalGradient(Method):
    """x ← prox_{γ weight R}(x − γ ∇h(x)), which minimises F = h + weight · R.

    F never rises and, for priors that are analytic (learned proximal networks with softplus are), bounded iterates
    converge to one critical point of F, if γ L < 1 with the Lipschitz constant L of ∇h; for convex h and a proximal
    operator of a proven Lipschitz constant L_p, if γ L < 1 + 1/L_p (Attouch, Bolte & Svaiter 2013). The multiple
    γ · weight of the prior is exact, so that any weight is within the theorem.

    Parameters
    ----------
    tolerance, max_iterations
        As in `Method`.
    step
        γ. None: the smaller of 0.99/L and 1/weight; with γ = 1/weight the prior's own proximal operator is used, which
        costs no inner minimisation.
    check
        Refuse steps outside of the range. False: run, and report that the theorem does not hold.
    """

    step: float | None = None
    check: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None and not 0 < self.step < float("inf"):
            raise ConfigurationError(f"step = {self.step}: a step is positive; None chooses it.")

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        return _Run(self, fidelity, prior, weights(weight, start), start).to_the_end()


@dataclass(frozen=True)
class AcceleratedProximalGradient(ProximalGradient):
    """`ProximalGradient` from extrapolated points (Beck & Teboulle 2009), given up wherever F would rise.

    A sample whose F would rise takes the plain step instead and starts the extrapolation anew, so that everything that
    is promised of the plain method holds; the prior must have a value.
    """

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        return _AcceleratedRun(self, fidelity, prior, weights(weight, start), start).to_the_end()


class _Run:
    """x with h(x), ∇h(x) and F(x) ``(B,)``; ended samples do not move."""

    def __init__(
        self, method: ProximalGradient, fidelity: DataFidelity, prior: Prior, weight: Tensor, start: Tensor
    ) -> None:
        self.method, self.fidelity, self.trace = method, fidelity, Trace(method, start)
        lipschitz = _lipschitz_of(fidelity, method)
        step = _default_step(lipschitz, weight) if method.step is None else torch.full_like(weight, method.step)
        self.step = per_sample(step, start)
        self.flat_step = step
        self.prior = prior.scaled(weight * step)
        self.lipschitz = lipschitz
        # ‖x₊ − x‖ / max(1, ‖x‖) of the last step; nothing is known before the first.
        self.moved = torch.zeros_like(weight)
        self.assumptions = _assumptions(method, fidelity, self.prior, float(step.max()), lipschitz)
        self.x = start
        self.dual: Tensor | None = None
        self.height, self.gradient = fidelity.value_and_gradient(start)
        self.objective: Tensor | None = None
        self.stationarity = torch.full_like(weight, torch.inf)

    def to_the_end(self) -> Reconstruction:
        while not self.trace.is_over():
            self.advance()
        return self.trace.result(self.x, self.stationarity, self.assumptions)

    def advance(self) -> None:
        """One step of every running sample."""
        self.accept(self.x - self.step * self.gradient)

    def accept(self, v: Tensor) -> None:
        """Go to the proximal point of v: found roughly first, and exactly where F would not fall."""
        point = self.point(v, self.prior.approximate(self.rough()))
        height, gradient = self.fidelity.value_and_gradient(where_sample(self.trace.running, point.x, self.x))
        total = self.total(height, point)
        if bool((self.rises(total) & self.trace.running).any()):
            point = self.point(v, self.prior)
            height, gradient = self.fidelity.value_and_gradient(where_sample(self.trace.running, point.x, self.x))
            total = self.total(height, point)
        self.move(v, point, height, gradient, total)

    def rough(self) -> Tensor:
        """A part of the last step's length, in units of max(1, ‖x‖).

        What is found to this tolerance is the exact point of a v that is moved by less than the margin 1 − γL of the
        descent leaves room for.
        """
        margin = _PART * (1 - self.flat_step * self.lipschitz).clamp(min=1 - _SAFETY)
        return torch.where(self.trace.running, margin * self.moved, 1.0)

    def rises(self, total: Tensor | None) -> Tensor:
        """Where F is not known to fall, ``(B,)``."""
        if total is None or self.objective is None:
            return torch.zeros_like(self.trace.running)
        rounding = 100 * torch.finfo(total.dtype).eps * self.objective.abs().clamp(min=1e-3)
        return ~(total <= self.objective + rounding)

    def point(self, v: Tensor, prior: Prior) -> ProximalPoint:
        """The proximal point of v; samples at which it fails have ended."""
        point = prior.prox(v, self.dual)
        if point.solved is not None:
            self.trace.end(~point.solved, Status.STAGNATION)
        self.trace.end(~point.x.flatten(1).isfinite().all(-1), Status.NONFINITE_ITERATE)
        return point

    def total(self, height: Tensor, point: ProximalPoint) -> Tensor | None:
        """F = h + weight · R, from the value γ weight R that comes with the point."""
        return None if point.value is None else height + point.value / self.flat_step

    def move(self, v: Tensor, point: ProximalPoint, height: Tensor, gradient: Tensor, objective: Tensor | None) -> None:
        running = self.trace.running
        self.trace.end(~(height.isfinite() & gradient.flatten(1).isfinite().all(-1)), Status.NONFINITE_ITERATE)
        moving = self.trace.running
        x = where_sample(moving, point.x, self.x)
        residual = torch.where(running, relative_change(x, self.x), 0)
        left = (gradient + point.subgradient(v) / self.step).flatten(1).norm(dim=-1)
        size = gradient.flatten(1).norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
        self.stationarity = torch.where(moving, left / size, self.stationarity)
        length = (x - self.x).flatten(1).norm(dim=-1) / self.x.flatten(1).norm(dim=-1).clamp(min=1)
        self.moved = torch.where(moving, length, self.moved)
        self.x, self.dual = x, where_sample(moving, point.dual, self.dual)
        self.height = torch.where(moving, height, self.height)
        self.gradient = where_sample(moving, gradient, self.gradient)
        if objective is not None:
            old = objective if self.objective is None else self.objective
            self.objective = torch.where(moving, objective, old)
        self.trace.note(residual, self.objective)


class _AcceleratedRun(_Run):
    def __init__(
        self, method: ProximalGradient, fidelity: DataFidelity, prior: Prior, weight: Tensor, start: Tensor
    ) -> None:
        super().__init__(method, fidelity, prior, weight, start)
        self.before = start
        self.momentum = torch.ones_like(weight)

    def advance(self) -> None:
        after = (1 + (1 + 4 * self.momentum.square()).sqrt()) / 2
        extrapolated = self.x + per_sample((self.momentum - 1) / after, self.x) * (self.x - self.before)
        v = extrapolated - self.step * self.fidelity.gradient(extrapolated)
        point = self.point(v, self.prior.approximate(self.rough()))
        candidate = where_sample(self.trace.running, point.x, self.x)
        height, gradient = self.fidelity.value_and_gradient(candidate)
        total = self.total(height, point)
        if total is None:
            raise ConfigurationError(
                "AcceleratedProximalGradient needs the objective, and this prior has no value: use ProximalGradient()."
            )
        self.before = self.x
        rises = self.rises(total) & self.trace.running
        self.momentum = torch.where(rises, 1, after)
        if not bool(rises.any()):
            self.move(v, point, height, gradient, total)
            return
        plain = where_sample(rises, self.x - self.step * self.gradient, v)
        self.accept(plain)


def step_bound(lipschitz: float, convex: bool, prior_lipschitz: float | None) -> float:
    """Steps below this are within the theorem: 1/L, or (1 + 1/L_p)/L for convex h and a proven constant L_p."""
    if lipschitz == 0:
        return float("inf")
    return (1 + 1 / prior_lipschitz if convex and prior_lipschitz is not None else 1) / lipschitz


def _lipschitz_of(fidelity: DataFidelity, method: ProximalGradient) -> float:
    if fidelity.lipschitz is None:
        raise ConfigurationError(
            f"{type(method).__name__} needs a bound of the Lipschitz constant of the data's gradient, which "
            f"{fidelity.operator.name} does not have: use Backtracking(), which finds its steps itself."
        )
    return fidelity.lipschitz


def _default_step(lipschitz: float, weight: Tensor) -> Tensor:
    own = 1 / weight
    return own if lipschitz == 0 else own.clamp(max=_SAFETY / lipschitz)


def _assumptions(
    method: ProximalGradient, fidelity: DataFidelity, prior: Prior, step: float, lipschitz: float
) -> list[Assumption]:
    """What the theorem asks for; raises `ConfigurationError` for a step outside of its range that is not asked for."""
    bound = step_bound(lipschitz, fidelity.convex, prior.lipschitz)
    if method.check and not step < bound:
        raise ConfigurationError(
            f"step = {step:g}: with this operator and prior the proximal gradient method is proven to converge for "
            f"steps in (0, {bound:.6g}); choose one of these, leave it at None, or set check=False to run outside of "
            "the theorem."
        )
    return [*prior.assumptions(), Assumption(f"step {step:.6g} < {bound:.6g}", step < bound)]
