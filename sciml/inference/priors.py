"""Distributions of learned latents, as maps from standard normal ones; saved with the network that they belong to."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from sciml.errors import LearnerError
from sciml.inference.limits import require_at_least

__all__ = ["GaussianPrior", "LatentPrior", "StandardNormal", "require_latents"]

RIDGE = 1e-6  # of the mean variance: latents that do not vary, or fewer of them than dimensions, leave a density


class LatentPrior(nn.Module):
    """An invertible map g from z ~ N(0, I) to latents β = g(z), for arrays ``(..., d)``.

    Parameters
    ----------
    dim
        d.
    """

    fitted: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        require_at_least(1, dim=dim)
        self.dim = dim
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, z: Tensor) -> Tensor:
        """β = g(z).

        Raises
        ------
        LearnerError
            If the prior is not fitted, or z has another dimension.
        """
        self._require_ready(z)
        return self._push(z)[0]

    def inverse(self, latents: Tensor) -> Tensor:
        """z with g(z) = β."""
        self._require_ready(latents)
        return self._pull(latents)[0]

    def log_det(self, z: Tensor) -> Tensor:
        """Log of |det dg/dz|, ``(...)``."""
        self._require_ready(z)
        return self._push(z)[1]

    def log_prob(self, latents: Tensor) -> Tensor:
        """Logarithm of the density of β, ``(...)``."""
        self._require_ready(latents)
        z, log_det = self._pull(latents)
        return -z.square().sum(-1) / 2 - self.dim / 2 * math.log(2 * math.pi) + log_det

    @abstractmethod
    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """β = g(z) and log |det dg/dz|."""

    @abstractmethod
    def _pull(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse, and the logarithm of its determinant."""

    def _require_ready(self, x: Tensor) -> None:
        if not self.fitted:
            raise LearnerError(
                f"{type(self).__name__} is not fitted: call fit(latents) with the encoded training inputs."
            )
        if x.shape[-1] != self.dim:
            raise LearnerError(
                f"{type(self).__name__}: latents (..., {self.dim}) are expected, found {tuple(x.shape)}."
            )


class StandardNormal(LatentPrior):
    """β = z; there is nothing to fit.

    Examples
    --------
    >>> StandardNormal(2)(torch.ones(1, 2))
    tensor([[1., 1.]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.fitted.fill_(True)

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z, z.new_zeros(z.shape[:-1])

    def _pull(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        return self._push(latents)


class GaussianPrior(LatentPrior):
    """β = m + L z with the mean m and the covariance L Lᵀ of given latents.

    Examples
    --------
    >>> prior = GaussianPrior(2)
    >>> prior.fit(3 + torch.randn(500, 2, generator=torch.Generator().manual_seed(0)))
    >>> torch.allclose(prior(torch.zeros(2)), torch.tensor([3.0, 3.0]), atol=0.2)
    True
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("factor", torch.eye(dim))

    @torch.no_grad()
    def fit(self, latents: Tensor) -> None:
        """Take the moments of latents ``(samples, d)``; a small ridge keeps the covariance positive.

        Raises
        ------
        LearnerError
            If there are fewer than two, they are not finite, all equal, or of another dimension.
        """
        require_latents(latents, self.dim)
        x = latents.double()
        covariance = x.T.cov().reshape(self.dim, self.dim)
        mean_variance = covariance.diagonal().mean()
        if mean_variance == 0:
            raise LearnerError("latents: all samples are equal: a prior needs latents that vary.")
        covariance = covariance + RIDGE * mean_variance * torch.eye(self.dim).to(x)
        self.mean.copy_(x.mean(0))
        self.factor.copy_(torch.linalg.cholesky(covariance))
        self.fitted.fill_(True)

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean + z @ self.factor.T, self._log_volume().expand(z.shape[:-1])

    def _pull(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        centred = (latents - self.mean).reshape(-1, self.dim)
        z = torch.linalg.solve_triangular(self.factor, centred.T, upper=False).T.reshape(latents.shape)
        return z, -self._log_volume().expand(latents.shape[:-1])

    def _log_volume(self) -> Tensor:
        return self.factor.diagonal().log().sum()


def require_latents(latents: Tensor, dim: int) -> None:
    """Raise LearnerError unless latents are finite, ``(samples, dim)``, and at least two."""
    if latents.ndim != 2 or latents.shape[1] != dim or len(latents) < 2:
        raise LearnerError(
            f"latents: shape (samples, {dim}), two samples or more, is expected, found {tuple(latents.shape)}."
        )
    bad = (~latents.isfinite().all(-1)).nonzero().flatten().tolist()
    if bad:
        raise LearnerError(f"latents: samples {bad[:8]} are not finite: train the encoder again, or leave them out.")
