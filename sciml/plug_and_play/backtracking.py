"""Forward–backward splitting that finds its steps itself: for nonlinear forward operators."""

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
from sciml.plug_and_play.trials import tried
from solvers import Status

__all__ = ["Backtracking"]

_PROBE = 1e-3
_RESOLUTION = 1e6


@dataclass(frozen=True)
class Backtracking(Method):
    """x ← prox_{γ weight R}(x − γ ∇h(x)) with a step γ for every sample and iteration.

    γ is halved until h(x₊) ≤ h(x) + ⟨∇h(x), x₊ − x⟩ + ‖x₊ − x‖²/(2γ), from which F = h + weight · R falls whatever h is
    (Beck & Teboulle 2009); then the next trial is larger again. A trial at which the forward operator fails counts as
    too long a step; a sample without an admissible step ends at its last good iterate.

    Parameters
    ----------
    tolerance, max_iterations
        As in `Method`.
    first_step
        The first trial. None: from the curvature of h along its gradient.
    longest
        No γ · weight above this is tried: multiples of a learned prior are certain to be found up to 1.
    growth
        The next trial is the last step times this.
    halvings
        Trials of one iteration.
    """

    first_step: float | None = None
    longest: float = 1.0
    growth: float = 1.5
    halvings: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = self.longest > 0 and (self.first_step is None or self.first_step > 0)
        if not positive or self.growth < 1 or self.halvings < 1:
            raise ConfigurationError(
                f"{self}: first_step and longest are positive, growth and halvings are at least 1."
            )

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        return _Run(self, fidelity, prior, weights(weight, start), start).to_the_end()


class _Run:
    """x with h(x), ∇h(x) and the next trial step γ ``(B,)``; ended samples do not move."""

    def __init__(
        self, method: Backtracking, fidelity: DataFidelity, prior: Prior, weight: Tensor, start: Tensor
    ) -> None:
        self.method, self.fidelity, self.prior, self.weight = method, fidelity, prior, weight
        self.trace = Trace(method, start)
        self.x = start
        self.dual: Tensor | None = None
        self.height, self.gradient, self.trace.failure = tried(fidelity, start)
        self.trace.end(~self.height.isfinite(), Status.NONFINITE_INPUT)
        self.gamma = self.first_step()
        self.stationarity = torch.full_like(weight, torch.inf)
        self.objective: Tensor | None = None

    def first_step(self) -> Tensor:
        """1 / the curvature of h along its gradient, within the limits."""
        limit = self.method.longest / self.weight
        if self.method.first_step is not None:
            return torch.full_like(limit, self.method.first_step).minimum(limit)
        slope = self.gradient.flatten(1).norm(dim=-1)
        reach = _PROBE * self.x.flatten(1).norm(dim=-1).clamp(min=1.0)
        length = reach / slope.clamp(min=torch.finfo(slope.dtype).tiny)
        there = self.x - per_sample(length, self.x) * self.gradient
        height, gradient, _ = tried(self.fidelity, where_sample(slope > 0, there, self.x))
        change = (gradient - self.gradient).flatten(1).norm(dim=-1)
        step = torch.where(height.isfinite() & (change > 0), reach / change, limit)
        return step.minimum(limit)

    def to_the_end(self) -> Reconstruction:
        while not self.trace.is_over():
            self.advance()
        assumptions = [
            *self.prior.assumptions(),
            Assumption("every step satisfies the descent inequality", not bool(self.stuck().any())),
        ]
        return self.trace.result(self.x, self.stationarity, assumptions)

    def stuck(self) -> Tensor:
        """Samples without an admissible step, ``(B,)``."""
        return (self.trace.status == Status.STAGNATION) | (self.trace.status == Status.NONFINITE_ITERATE)

    def advance(self) -> None:
        """One step of every running sample, with as many trials as it takes."""
        before = self.x
        searching = self.trace.running
        for _ in range(self.method.halvings):
            searching = searching & ~self.trial(searching)
            if not bool(searching.any()):
                break
            self.gamma = torch.where(searching, self.gamma / 2, self.gamma)
        self.trace.end(searching & ~self.reached.isfinite(), Status.NONFINITE_ITERATE)
        self.trace.end(searching, Status.STAGNATION)
        residual = torch.where(self.trace.running, relative_change(self.x, before), torch.inf)
        limit = self.method.longest / self.weight
        self.gamma = (self.method.growth * self.gamma).minimum(limit)
        self.trace.note(residual, self.objective)

    def trial(self, searching: Tensor) -> Tensor:
        """Try γ; the samples ``(B,)`` that went on."""
        v = self.x - per_sample(self.gamma, self.x) * self.gradient
        point = self.prior.scaled(self.gamma * self.weight).prox(v, self.dual)
        x = where_sample(searching, point.x, self.x)
        height, gradient, message = tried(self.fidelity, x)
        self.trace.failure = self.trace.failure or message
        good = searching & height.isfinite() & self.descends(x, height, gradient)
        if point.solved is not None:
            good = good & point.solved
        self.reached = height
        self.go(good, v, point, height, gradient)
        return good

    def descends(self, x: Tensor, height: Tensor, gradient: Tensor) -> Tensor:
        """Whether h rises above its tangent by at most ‖x₊ − x‖²/(2γ), ``(B,)``."""
        step = (x - self.x).flatten(1)
        allowed = step.square().sum(-1) / (2 * self.gamma)
        above = height - self.height - (self.gradient.flatten(1) * step).sum(-1)
        # Of short steps the values of h say nothing but rounding; its gradients do.
        by_slopes = ((gradient - self.gradient).flatten(1) * step).sum(-1) / 2
        unclear = allowed <= _RESOLUTION * torch.finfo(x.dtype).eps * self.height.abs()
        return torch.where(unclear, by_slopes, above) <= allowed

    def go(self, good: Tensor, v: Tensor, point: ProximalPoint, height: Tensor, gradient: Tensor) -> None:
        """Move the samples whose trial was good."""
        left = (gradient + point.subgradient(v) / per_sample(self.gamma, v)).flatten(1).norm(dim=-1)
        size = gradient.flatten(1).norm(dim=-1).clamp(min=torch.finfo(v.dtype).tiny)
        self.stationarity = torch.where(good, left / size, self.stationarity)
        self.x = where_sample(good, point.x, self.x)
        self.dual = where_sample(good, point.dual, self.dual)
        self.height, self.gradient = torch.where(good, height, self.height), where_sample(good, gradient, self.gradient)
        if point.value is not None:
            total = height + point.value / self.gamma
            self.objective = total if self.objective is None else torch.where(good, total, self.objective)
