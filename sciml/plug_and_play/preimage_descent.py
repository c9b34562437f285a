"""Descent over what the learned network is given: multiples of its prior without an inner minimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError
from sciml.inference.minimizers import Iterate, lbfgs_iterates
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.method import Method, Trace, weights
from sciml.plug_and_play.priors import LearnedPrior, Prior
from sciml.plug_and_play.proximal_network import ProximalNetwork, check_network_input, without_weights
from sciml.plug_and_play.reconstruction import Reconstruction
from sciml.plug_and_play.trials import tried
from solvers import Status

__all__ = ["PreimageDescent"]


@dataclass(frozen=True)
class PreimageDescent(Method):
    """F(y) = h(f(y)) + weight · R(f(y)) by L-BFGS over y, for the network f = prox_R.

    On the range of f the prior is free, R(f(y)) = ⟨y, f(y)⟩ − ½‖f(y)‖² − ψ(y), and so is its gradient y − f(y). By the
    chain rule ∇F = J (∇h(x) + weight (y − x)) at x = f(y), with the Jacobian J of f, symmetric and positive definite,
    so that the stationary points of F are those of h + weight · R: what `ADMM` and the proximal gradient method look
    for with the exact strength, for any weight, without an inner iteration. A step costs one gradient of h and one
    product with J. For operators whose gradients are dear, linear ones or not; which minimum is found depends on the
    start where h or R is not convex, and f(start) is where it begins.

    The objective falls from step to step. The fixed-point residual is ‖∇h + weight (y − x)‖ / ‖∇h‖: how far x is from
    being stationary. A sample for which no step descends any more ends with `Status.STAGNATION`.

    Parameters
    ----------
    tolerance, max_iterations
        As in `Method`; values in double precision tell gradients to about 1e-8, and no smaller tolerance is reached.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators import from_functions
    >>> from sciml.plug_and_play import GaussianFidelity, QuadraticNetwork, reconstruct
    >>> halves = from_functions(lambda x: x / 2, lambda y: y / 2, input_shape=(2,), output_shape=(2,), norm=0.5)
    >>> prior = LearnedPrior(QuadraticNetwork(0.5 * torch.eye(2)))  # R(x) = ½‖x‖²
    >>> found = reconstruct(GaussianFidelity(halves, torch.tensor([[1.0, 2.0]])), prior, 0.25, PreimageDescent(1e-5))
    >>> [round(value, 3) for value in found.x[0].tolist()]  # (¼ + ¼) x = b / 2
    [1.0, 2.0]
    """

    tolerance: float = 1e-4
    max_iterations: int = 500

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        if not isinstance(prior, LearnedPrior):
            raise ConfigurationError(
                f"PreimageDescent works on the network of a LearnedPrior, and {type(prior).__name__} has none: use "
                "Backtracking(), or another method."
            )
        check_network_input(prior.network, start)
        run = _Run(self, fidelity, without_weights(prior.network), weights(weight, start), start)
        return run.to_the_end(prior.assumptions())


class _Run:
    """The last iterate with its field x and ∇F's two parts; ended samples do not move."""

    def __init__(
        self, method: PreimageDescent, fidelity: DataFidelity, network: ProximalNetwork, weight: Tensor, start: Tensor
    ) -> None:
        self.fidelity, self.network, self.weight, self.start = fidelity, network, weight, start
        self.trace = Trace(method, start)
        self.seen: tuple[Tensor, Tensor, Tensor] | None = None

    def to_the_end(self, assumptions: list[Assumption]) -> Reconstruction:
        iterates = lbfgs_iterates(self.objective, torch.nan_to_num(self.start).flatten(1), 0.0)
        self.trace.end(~next(iterates).value.isfinite(), Status.NONFINITE_ITERATE)
        best = self.start
        stationarity = torch.full_like(self.weight, torch.inf)
        while not self.trace.is_over():
            iterate = next(iterates)
            best, residual = self.judged(iterate)
            stationarity = torch.where(self.trace.running, residual, stationarity)
            self.trace.note(residual, iterate.value)
            self.trace.end(~iterate.active, Status.STAGNATION)
        return self.trace.result(best, stationarity, assumptions)

    def objective(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """F ``(B,)`` and ∇F ``(B, n)``; samples that have ended have no slope, so that nothing moves them."""
        y = flat.reshape(self.start.shape)
        with torch.enable_grad():
            seen = y.detach().requires_grad_()
            psi, x = self.network.potential_and_gradient(seen)
        value, slope, message = tried(self.fidelity, x.detach())
        self.trace.failure = self.trace.failure or message
        self.seen = flat, x.detach(), slope
        # J is symmetric: its transpose, which automatic differentiation applies, is itself.
        (gradient,) = torch.autograd.grad(x, seen, slope + per_sample(self.weight, y) * (y - x.detach()))
        prior = ((y - x / 2) * x).flatten(1).sum(-1) - psi
        running = self.trace.running
        total = torch.where(running, value + self.weight * prior.detach(), 0.0)
        return total, torch.where(running[:, None], gradient.flatten(1), 0.0)

    def judged(self, iterate: Iterate) -> tuple[Tensor, Tensor]:
        """The field of an iterate, and how far it is from being stationary."""
        if self.seen is None or not torch.equal(self.seen[0], iterate.z):
            self.objective(iterate.z)  # the last trial was refused
        assert self.seen is not None
        _, x, slope = self.seen
        y = iterate.z.reshape(self.start.shape)
        left = (slope + per_sample(self.weight, y) * (y - x)).flatten(1).norm(dim=-1)
        return x, left / slope.flatten(1).norm(dim=-1).clamp(min=torch.finfo(y.dtype).tiny)
