"""The Gaussian with the posterior's mode and its Gauss–Newton curvature there (Laplace's approximation)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from sciml.inference.gaussian import Gaussian
from sciml.inference.limits import require_at_least
from sciml.inference.map_estimate import MapConfig, find_minima
from sciml.inference.posterior import Posterior
from sciml.inference.result import Advance, Diagnostics, MapEstimate, PosteriorSamples

__all__ = ["LaplaceConfig", "fit_laplace", "importance_share", "laplace", "log_evidences"]


@dataclass(frozen=True)
class LaplaceConfig:
    """Laplace's approximation at the lowest minimum.

    Parameters
    ----------
    draws
        Independent samples.
    map
        How the minima are found.
    """

    draws: int = 1000
    map: MapConfig = field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        require_at_least(2, draws=self.draws)


def laplace(
    posterior: Posterior, config: LaplaceConfig, generator: Generator, progress: Advance | None = None
) -> PosteriorSamples:
    """Independent samples of Laplace's approximation; exact where the forward map is linear."""
    estimate = find_minima(posterior, config.map, generator)
    gaussian = fit_laplace(estimate)
    z = gaussian.draws(config.draws, generator)
    diagnostics = Diagnostics(importance=importance_share(posterior, gaussian, z))
    if progress is not None:
        progress(1.0, "")
    return PosteriorSamples(z[:, None], estimate, diagnostics, estimate.status)


def fit_laplace(estimate: MapEstimate) -> Gaussian:
    """N(z, H⁻¹) at the lowest minimum z; its factor is the inverse transpose of the Cholesky factor of H.

    The d × d algebra is done in float64. Where no minimum is finite it is the prior.
    """
    d = estimate.minima.shape[-1]
    H = estimate.hessians[torch.arange(len(estimate.minima)), estimate.best].double()
    unit = torch.eye(d).to(H)
    L, failed = torch.linalg.cholesky_ex(H.nan_to_num(nan=-1.0))
    usable = (failed == 0) & estimate.z.isfinite().all(-1)
    L = torch.where(usable[:, None, None], L, unit)
    factor = torch.linalg.solve_triangular(L, unit.expand_as(L), upper=False).mT
    return Gaussian(torch.where(usable[:, None], estimate.z, 0), factor.to(estimate.minima))


def log_evidences(estimate: MapEstimate) -> Tensor:
    """Log of the posterior mass of every minimum by Laplace, −U − ½ log det H, ``(B, S)``; −∞ where not finite."""
    _, log_det = torch.linalg.slogdet(estimate.hessians.double().nan_to_num(nan=0.0))
    evidence = -estimate.potentials.double() - log_det / 2
    return evidence.nan_to_num(nan=-torch.inf, posinf=-torch.inf).to(estimate.potentials)


def importance_share(posterior: Posterior, gaussian: Gaussian, z: Tensor) -> Tensor:
    """(Σ w)² / (k Σ w²) of the importance weights w = exp(−U) / q of k draws z ``(B, k, d)`` of q, ``(B,)``."""
    with torch.no_grad():
        log_weight = -torch.cat([posterior.potential(part) for part in z.split(64, dim=1)], dim=1)
    log_weight = (log_weight - gaussian.log_density(z)).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    share = torch.exp(2 * log_weight.logsumexp(1) - (2 * log_weight).logsumexp(1)) / z.shape[1]
    return share.nan_to_num(nan=0.0)
