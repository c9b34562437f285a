"""The most probable latents, from several starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from sciml.inference.limits import require_at_least, require_one_of, require_positive
from sciml.inference.minimizers import adam, lbfgs
from sciml.inference.posterior import Posterior
from sciml.inference.result import Advance, Diagnostics, InferenceStatus, MapEstimate, PosteriorSamples

__all__ = ["MapConfig", "find_minima", "most_probable"]

NEAR = 0.1  # the first start lies this near the prior's mean, which may itself be a saddle of U


@dataclass(frozen=True)
class MapConfig:
    """Minimisation of U from several starts.

    Parameters
    ----------
    starts
        How many; the first lies near the prior's mean, the others are draws from the prior.
    optimizer
        ``lbfgs`` or ``adam``.
    steps
        Most iterations of either.
    learning_rate
        Of Adam; it decays to zero.
    tolerance
        A minimum has converged where a Gauss–Newton step would gain at most this much, in nats.
    merge
        Minima whose root-mean-square distance is at most this, in standard deviations of the prior, are one.

    Raises
    ------
    ConfigurationError
        If a value is out of its range.
    """

    starts: int = 4
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    steps: int = 400
    learning_rate: float = 5e-2
    tolerance: float = 1e-2
    merge: float = 0.1

    def __post_init__(self) -> None:
        require_at_least(1, starts=self.starts, steps=self.steps)
        require_positive(learning_rate=self.learning_rate, tolerance=self.tolerance, merge=self.merge)
        require_one_of("optimizer", self.optimizer, ("lbfgs", "adam"))


def find_minima(posterior: Posterior, config: MapConfig, generator: Generator) -> MapEstimate:
    """Minimise U from every start of every observation together.

    Examples
    --------
    >>> from sciml.inference import Observation
    >>> observation = Observation(torch.zeros(1, 1), torch.tensor([[4.0]]), 0.1)
    >>> posterior = Posterior(torch.square, observation, latent_dim=1)
    >>> estimate = find_minima(posterior, MapConfig(starts=8), torch.Generator().manual_seed(0))
    >>> estimate.distinct.item(), round(estimate.z.abs().item(), 2)
    (2, 2.0)
    """
    starts = posterior.prior_draws(config.starts, generator)
    starts[:, 0] *= NEAR
    if config.optimizer == "adam":
        z = adam(posterior.potential_and_gradient, starts, config.steps, config.learning_rate)
    else:
        # ½‖g‖² is a cautious bound of what is left to gain; a hundredth of it leaves margins narrow in other norms.
        z = lbfgs(posterior.potential_and_gradient, starts, config.steps, 0.01 * config.tolerance)
    U, g = posterior.potential_and_gradient(z)
    H = posterior.gauss_newton(z)
    decrements = _decrements(H, g)
    estimate = MapEstimate(z, U, H, decrements, _count_distinct(z, U, config.merge), ())
    chosen = (torch.arange(len(z)), estimate.best)
    status = tuple(
        InferenceStatus.DIVERGED
        if not finite
        else InferenceStatus.CONVERGED
        if done
        else InferenceStatus.MAX_ITERATIONS
        for finite, done in zip(
            (U[chosen].isfinite() & decrements[chosen].isfinite()).tolist(),
            (decrements[chosen] <= config.tolerance).tolist(),
            strict=True,
        )
    )
    return MapEstimate(z, U, H, decrements, estimate.distinct, status)


def most_probable(
    posterior: Posterior, config: MapConfig, generator: Generator, progress: Advance | None = None
) -> PosteriorSamples:
    """The MAP estimate as one draw: a point, without error bars."""
    estimate = find_minima(posterior, config, generator)
    if progress is not None:
        progress(1.0, "")
    return PosteriorSamples(estimate.z[:, None, None], estimate, Diagnostics(), estimate.status)


def _decrements(H: Tensor, g: Tensor) -> Tensor:
    """½ gᵀ H⁻¹ g; infinite where H is not finite."""
    L, failed = torch.linalg.cholesky_ex(H.double().nan_to_num(nan=torch.nan, posinf=torch.nan, neginf=torch.nan))
    v = torch.linalg.solve_triangular(L, g.double()[..., None], upper=False)[..., 0]
    return torch.where(failed == 0, v.square().sum(-1) / 2, torch.inf).nan_to_num(nan=torch.inf).to(g)


def _count_distinct(z: Tensor, U: Tensor, merge: float) -> Tensor:
    """Number of ends that no earlier one is near to, ``(B,)``; ends that are not finite do not count."""
    near = (z[:, :, None] - z[:, None]).square().mean(-1).sqrt() <= merge
    finite = U.isfinite()
    repeats = (near & finite[:, None]).tril(-1).any(-1)
    return (finite & ~repeats).sum(-1)
