"""A Gaussian for every observation, and the coordinates in which it is standard normal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.inference.random_draws import normal

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian:
    """N(mean, S Sᵀ) for every one of B observations.

    Parameters
    ----------
    mean
        ``(B, d)``.
    factor
        S, invertible and triangular (its transpose may be the lower one), ``(B, d, d)``.

    Examples
    --------
    >>> gaussian = Gaussian(torch.ones(1, 2), 2 * torch.eye(2)[None])
    >>> gaussian.latent(torch.ones(1, 1, 2))
    tensor([[[3., 3.]]])
    >>> gaussian.covariance
    tensor([[[4., 0.],
             [0., 4.]]])
    """

    mean: Tensor
    factor: Tensor

    @property
    def covariance(self) -> Tensor:
        """S Sᵀ."""
        return self.factor @ self.factor.mT

    @property
    def log_volume(self) -> Tensor:
        """Log of |det S|, ``(B,)``."""
        return self.factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)

    def latent(self, w: Tensor) -> Tensor:
        """``mean + S w`` for standardised ``w (B, C, d)``."""
        return self.mean[:, None] + w @ self.factor.mT

    def standardised(self, z: Tensor) -> Tensor:
        """The inverse of `latent`."""
        return torch.linalg.solve(self.factor[:, None], (z - self.mean[:, None])[..., None])[..., 0]

    def log_density(self, z: Tensor) -> Tensor:
        """Logarithm of the density at ``z (B, C, d)``, ``(B, C)``."""
        square = self.standardised(z).square().sum(-1)
        return -square / 2 - self.log_volume[:, None] - z.shape[-1] / 2 * math.log(2 * math.pi)

    def draws(self, count: int, generator: Generator) -> Tensor:
        """Independent samples, ``(B, count, d)``."""
        return self.latent(normal((len(self.mean), count, self.mean.shape[-1]), generator, self.mean))
