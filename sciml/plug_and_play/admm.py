"""Splitting with a proximal step on the prior and a proximal step on the data."""

from __future__ import annotations

import math
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

__all__ = ["ADMM"]

_PART = 2e-3  # of the last step's length: the error that a multiple of the prior may have


@dataclass(frozen=True)
class ADMM(Method):
    """z ← prox_{weight R/ρ}(x + u), x ← argmin h + ½ρ ‖x − z + u‖², u ← u + x − z, which minimises h + weight · R.

    With the penalty ρ = weight, the default, the prior's own proximal operator is used, without any inner
    minimisation. The recorded objective is the augmented Lagrangian
    h(x) + weight · R(z) + ρ (⟨u, x − z⟩ + ½‖x − z‖²) after each step on the prior, from the second one on. If h is
    convex and ρ > L, the Lipschitz constant of ∇h, it never rises, and limits of the iterates are critical points, for
    any prior with an exact proximal operator (Themelis & Patrinos 2020, where it is called the Douglas–Rachford
    envelope). For convex R any ρ > 0 leads to the minimum, while the objective may rise on the way. Smaller ρ often
    converge, too, and nothing is proven.

    The result is z: a point of the prior's proximal operator.

    Parameters
    ----------
    tolerance, max_iterations
        As in `Method`; the fixed-point residual is the larger of ‖z₊ − z‖ and ‖x − z‖, relative to ‖z‖.
    penalty
        ρ. None: the prior's weight. Any other one needs exact multiples of the prior.
    check
        Refuse penalties outside of the theorem.
    """

    penalty: float | None = None
    check: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty is not None and not 0 < self.penalty < math.inf:
            raise ConfigurationError(
                f"penalty = {self.penalty}: the penalty is positive; None takes the prior's weight."
            )

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        one_each = weights(weight, start)
        rho = one_each if self.penalty is None else torch.full_like(one_each, self.penalty)
        return _Run(self, fidelity, prior, one_each, rho, start).to_the_end()


class _Run:
    """x, z and u; ended samples do not move."""

    def __init__(
        self, method: ADMM, fidelity: DataFidelity, prior: Prior, weight: Tensor, rho: Tensor, start: Tensor
    ) -> None:
        self.method, self.fidelity, self.rho = method, fidelity, rho
        self.prior = prior.scaled(weight / rho)
        self.assumptions = _assumptions(method, fidelity, self.prior, float(rho.min()) if len(rho) else math.inf)
        self.trace = Trace(method, start)
        self.x, self.z, self.u = start, start, torch.zeros_like(start)
        self.dual: Tensor | None = None
        self.height: Tensor | None = None
        self.change = torch.zeros_like(rho)
        self.stationarity = torch.full_like(rho, torch.inf)

    def to_the_end(self) -> Reconstruction:
        while not self.trace.is_over():
            self.advance()
        return self.trace.result(self.z, self.stationarity, self.assumptions)

    def advance(self) -> None:
        """One step on the prior, one on the data, one on the dual variable."""
        point, objective = self.prior_step()
        if point.solved is not None:
            self.trace.end(~point.solved, Status.STAGNATION)
        self.trace.end(~point.x.flatten(1).isfinite().all(-1), Status.NONFINITE_ITERATE)
        z = where_sample(self.trace.running, point.x, self.z)
        x, solved = self.fidelity.prox(z - self.u, self.rho, self.x)
        height, gradient, message = tried(self.fidelity, x)
        self.trace.failure = self.trace.failure or message
        self.trace.end(~(height.isfinite() & x.flatten(1).isfinite().all(-1)), Status.NONFINITE_ITERATE)
        self.trace.end(~solved, Status.STAGNATION)
        running = self.trace.running
        change = torch.maximum(relative_change(z, self.z), relative_change(z, x))
        # ∇h is taken at x, which becomes z.
        left = gradient + per_sample(self.rho, x) * point.subgradient(self.x + self.u)
        size = gradient.flatten(1).norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
        self.stationarity = torch.where(running, left.flatten(1).norm(dim=-1) / size, self.stationarity)
        self.u = where_sample(running, self.u + x - z, self.u)
        self.x, self.z = where_sample(running, x, self.x), where_sample(running, z, self.z)
        self.dual = where_sample(running, point.dual, self.dual)
        self.height = height if self.height is None else torch.where(running, height, self.height)
        self.change = torch.where(running, change, 1.0)
        self.trace.note(torch.where(running, change, torch.inf), objective)

    def prior_step(self) -> tuple[ProximalPoint, Tensor | None]:
        """The proximal point of x + u and the Lagrangian there: found roughly first, exactly where that would rise."""
        v = self.x + self.u
        point = self.prior.approximate(_PART * self.change).prox(v, self.dual)
        objective = self.lagrangian(point)
        if objective is not None and self.trace.objective:
            last = self.trace.objective[-1]
            rounding = 100 * torch.finfo(last.dtype).eps * last.abs().clamp(min=1e-3)
            if bool((~(objective <= last + rounding) & self.trace.running).any()):
                point = self.prior.prox(v, self.dual)
                objective = self.lagrangian(point)
        return point, objective

    def lagrangian(self, point: ProximalPoint) -> Tensor | None:
        """The augmented Lagrangian at (x, z, u) with the new z; None at the start, where u is not yet a dual point."""
        if point.value is None or self.height is None:
            return None
        split = (self.x - point.x).flatten(1)
        coupling = ((self.u.flatten(1) + split / 2) * split).sum(-1)
        return self.height + self.rho * (point.value + coupling)


def _assumptions(method: ADMM, fidelity: DataFidelity, prior: Prior, rho: float) -> list[Assumption]:
    """What the theorem asks for; raises `ConfigurationError` for a penalty that is refused."""
    if fidelity.lipschitz is None:
        return [*prior.assumptions(), Assumption("the data's gradient has a known Lipschitz constant", False)]
    convex_prior = prior.exact and prior.lipschitz is not None and prior.lipschitz <= 1
    if convex_prior and fidelity.convex:
        return [*prior.assumptions(), Assumption("data fidelity and prior are convex", True)]
    bound = fidelity.lipschitz
    if method.check and not rho > bound:
        raise ConfigurationError(
            f"penalty = {rho:g}: with this operator and prior ADMM is proven to converge for penalties in "
            f"({bound:.6g}, ∞); give one of these, or check=False to run outside of the theorem."
        )
    return [
        *prior.assumptions(),
        Assumption("the data fidelity is convex", fidelity.convex),
        Assumption(f"penalty {rho:.6g} > {bound:.6g}", rho > bound),
    ]
