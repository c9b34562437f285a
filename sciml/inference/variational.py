"""Variational inference: the Gaussian nearest to the posterior in Kullback–Leibler divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor

from sciml.inference.gaussian import Gaussian
from sciml.inference.laplace import fit_laplace, importance_share
from sciml.inference.limits import require_at_least, require_one_of, require_positive
from sciml.inference.map_estimate import MapConfig, find_minima
from sciml.inference.posterior import Posterior
from sciml.inference.random_draws import normal
from sciml.inference.result import Advance, Diagnostics, InferenceStatus, PosteriorSamples

__all__ = ["SVIConfig", "svi"]


@dataclass(frozen=True)
class SVIConfig:
    """Stochastic variational inference in the coordinates in which Laplace's approximation is standard normal.

    Parameters
    ----------
    family
        ``full`` for any covariance; ``diagonal`` for one that is diagonal in these coordinates (though full in the
        latents themselves): fewer numbers to learn where d is large.
    steps, learning_rate
        Of Adam; the rate decays to zero.
    particles
        Samples of every step, in antithetic pairs.
    draws
        Independent samples of the result.
    tolerance
        The bound has converged when its mean over the last quarter of the steps differs from that over the quarter
        before by at most this many nats, beyond four standard errors.
    map
        How the minimum is found from which it starts.

    Raises
    ------
    ConfigurationError
        If a value is out of its range.
    """

    family: Literal["full", "diagonal"] = "full"
    steps: int = 400
    learning_rate: float = 2e-2
    particles: int = 16
    draws: int = 1000
    tolerance: float = 0.1
    map: MapConfig = field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        require_one_of("family", self.family, ("full", "diagonal"))
        require_at_least(2, particles=self.particles, draws=self.draws)
        require_at_least(8, steps=self.steps)
        require_positive(learning_rate=self.learning_rate, tolerance=self.tolerance)


def svi(
    posterior: Posterior, config: SVIConfig, generator: Generator, progress: Advance | None = None
) -> PosteriorSamples:
    """Independent samples of the best Gaussian; exact where the forward map is linear."""
    estimate = find_minima(posterior, config.map, generator)
    frame = fit_laplace(estimate)
    nearest, bounds = _maximise_bound(posterior, frame, config, generator, progress)
    gaussian = Gaussian(frame.latent(nearest.mean[:, None])[:, 0], frame.factor @ nearest.factor)
    z = gaussian.draws(config.draws, generator)
    diagnostics = Diagnostics(importance=importance_share(posterior, gaussian, z))
    return PosteriorSamples(z[:, None], estimate, diagnostics, _judge(bounds, config.tolerance))


def _maximise_bound(
    posterior: Posterior, frame: Gaussian, config: SVIConfig, generator: Generator, progress: Advance | None
) -> tuple[Gaussian, Tensor]:
    """The best Gaussian in the frame's coordinates, and the course of the bound ``(steps, B)``."""
    mean = torch.zeros_like(frame.mean).requires_grad_()
    raw = torch.zeros_like(frame.factor).requires_grad_()
    optimizer = torch.optim.Adam([mean, raw], lr=config.learning_rate)
    bounds = []
    half = -(-config.particles // 2)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        xi = normal((len(mean), half, mean.shape[-1]), generator, mean)
        with torch.enable_grad():
            q = Gaussian(mean, _factor(raw, config.family))
            w = q.latent(torch.cat([xi, -xi], dim=1))
            # Without the derivative of q's own parameters the gradient has no noise where q is the posterior (Roeder,
            # Wu & Duvenaud 2017).
            fixed = Gaussian(mean.detach(), q.factor.detach())
            bound = -(posterior.potential(frame.latent(w)) + fixed.log_density(w)).mean(1)
            mean.grad, raw.grad = torch.autograd.grad(-bound.sum(), [mean, raw])
        optimizer.step()
        bounds.append(bound.detach())
        if progress is not None:
            progress((step + 1) / config.steps, f"bound {bound.mean().item():.4g}")
    return Gaussian(mean.detach(), _factor(raw.detach(), config.family)), torch.stack(bounds)


def _factor(raw: Tensor, family: str) -> Tensor:
    """A lower triangle with a positive diagonal."""
    diagonal = torch.diag_embed(raw.diagonal(dim1=-2, dim2=-1).exp())
    return diagonal if family == "diagonal" else diagonal + raw.tril(-1)


def _judge(bounds: Tensor, tolerance: float) -> tuple[InferenceStatus, ...]:
    quarter = len(bounds) // 4
    last, before = bounds[-quarter:], bounds[-2 * quarter : -quarter]
    noise = ((last.var(0) + before.var(0)) / quarter).sqrt()
    settled = (last.mean(0) - before.mean(0)).abs() <= tolerance + 4 * noise
    return tuple(
        InferenceStatus.DIVERGED
        if not finite
        else InferenceStatus.CONVERGED
        if done
        else InferenceStatus.MAX_ITERATIONS
        for finite, done in zip(bounds[-1].isfinite().tolist(), settled.tolist(), strict=True)
    )
