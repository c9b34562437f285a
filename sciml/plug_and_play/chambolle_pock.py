"""The primal–dual hybrid gradient method for total variation: no inner iterations, no linear systems."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator
from sciml.errors import ConfigurationError
from sciml.plug_and_play.assumption import Assumption
from sciml.plug_and_play.data_fidelity import DataFidelity
from sciml.plug_and_play.gaussian_fidelity import GaussianFidelity
from sciml.plug_and_play.inversion import per_sample
from sciml.plug_and_play.method import Method, Trace, relative_change, weights, where_sample
from sciml.plug_and_play.priors import Prior
from sciml.plug_and_play.reconstruction import Reconstruction
from sciml.plug_and_play.total_variation import (
    TotalVariation,
    differences,
    differences_transposed,
    project_on_balls,
    total_variation,
)

__all__ = ["ChambollePock"]

_SAFETY = 0.99


@dataclass(frozen=True)
class ChambollePock(Method):
    """min ½‖A x − b‖²/σ² + weight · τ TV(x) by primal–dual steps on A and on differences (Chambolle & Pock 2011).

    Converges to the minimum for all linear operators, as the product of its steps times ‖(A/σ, ∇)‖² is below one; A and
    the differences are scaled to the same norm first. The objective need not fall at every step.

    Parameters
    ----------
    tolerance, max_iterations
        As in `Method`; the fixed-point residual is the relative change of x, or that of the dual of the data if larger.
    ratio
        Primal step / dual step.
    """

    ratio: float = 1.0

    def run(self, fidelity: DataFidelity, prior: Prior, weight: float | Tensor, start: Tensor) -> Reconstruction:
        if not isinstance(prior, TotalVariation) or not isinstance(fidelity, GaussianFidelity) or not fidelity.convex:
            raise ConfigurationError(
                f"ChambollePock minimises total variation with a linear operator and Gaussian noise, found "
                f"{type(prior).__name__} and {type(fidelity).__name__} of {fidelity.operator.name}: use "
                "ProximalGradient(), or Backtracking() for nonlinear operators."
            )
        if not self.ratio > 0:
            raise ConfigurationError(f"ratio = {self.ratio}: the ratio of two steps is positive.")
        return _run(self, fidelity, weights(weight, start) * prior.tau, start)


def _run(method: ChambollePock, fidelity: GaussianFidelity, weight: Tensor, start: Tensor) -> Reconstruction:
    operator = fidelity.operator
    assert isinstance(operator, LinearForwardOperator)
    trace, radius = Trace(method, start), per_sample(weight, start)
    size_of_differences = 2 * (start.ndim - 2) ** 0.5
    # K = (s A/σ, ∇) with both parts of the norm of ∇; h is the function of s A x/σ.
    scale = size_of_differences / max(operator.norm() / fidelity.sigma, torch.finfo(start.dtype).tiny)
    step = _SAFETY / (2**0.5 * size_of_differences)
    primal, dual = step * method.ratio**0.5, step / method.ratio**0.5
    factor = scale / fidelity.sigma
    x = ahead = start
    y = torch.zeros_like(fidelity.data)
    p = torch.zeros_like(differences(start))
    while not trace.is_over():
        # h*(y) = ½ s⁻² … in closed form: h(w) = ½‖w/s − b/σ‖².
        new_y = (y + dual * (operator.apply(ahead) - fidelity.data) * factor) / (1 + dual * scale**2)
        new_p = project_on_balls(p + dual * differences(ahead), radius)
        pull = factor * operator.adjoint(new_y) + differences_transposed(new_p)
        new = x - primal * pull
        running = trace.running
        residual = torch.maximum(relative_change(new, x), relative_change(new_y, y))
        ahead = where_sample(running, 2 * new - x, ahead)
        x, y, p = where_sample(running, new, x), where_sample(running, new_y, y), where_sample(running, new_p, p)
        trace.note(residual, fidelity.value(x) + weight * total_variation(x))
    gradient = fidelity.gradient(x)
    left = (gradient + differences_transposed(p)).flatten(1).norm(dim=-1)
    stationarity = left / gradient.flatten(1).norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
    product = f"primal step · dual step · ‖K‖² = {_SAFETY**2:.3g} < 1"
    return trace.result(x, stationarity, [Assumption(product, True), Assumption("h and R are convex", True)])
