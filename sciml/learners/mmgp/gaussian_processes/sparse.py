"""The posterior of very many samples, carried by inducing points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes.kernel import factorise, matern
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianProcesses

__all__ = ["SparseGaussianProcesses", "best_inducing_values"]

LARGEST_SHARE = 1 - 1e-9
"""Of the noise variance, that the posterior variance of what the inducing points say of a sample may reach."""


class SparseGaussianProcesses(GaussianProcesses):
    """Gaussian processes conditioned on normally distributed values at k inducing points (Hensman et al. 2013).

    Every column has its own kernel and points. `log_likelihood` is a lower bound, and `leave_one_out` divides each
    sample's factor out of the distribution at the inducing points: exact where these carry the posterior.

    Parameters
    ----------
    state
        As for `GaussianProcesses`, and ``inducing (m, k, d)``; ``inducing_mean (m, k)`` and ``inducing_root
        (m, k, k)`` of the values there, divided by the Cholesky factor of their prior covariance.
    """

    inducing: Tensor
    inducing_mean: Tensor
    inducing_root: Tensor
    prior_root: Tensor

    def _prepare(self) -> None:
        prior = matern(self.inducing, self.inducing, self.length_scales, self.signal_variance)
        self.register_buffer("prior_root", factorise(prior)[0], persistent=False)

    def _column_noise(self) -> Tensor:
        return self.noise_variance

    def _standard_log_likelihood(self) -> Tensor:
        mean, variance = self._standard_posterior(self.inputs)
        noise = self.noise_variance
        misfit = ((self.targets - mean).square() + variance).sum(0) / noise
        expected = -(misfit + len(self.inputs) * (2 * math.pi * noise).log()) / 2
        volume = self.inducing_root.diagonal(dim1=1, dim2=2).abs().log().sum(1)
        square = self.inducing_mean.square().sum(1) + self.inducing_root.square().sum((1, 2))
        return expected - (square - self.inducing_mean.shape[1]) / 2 + volume

    def _standard_posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        projected = self._projected(z)
        mean = (projected * self.inducing_mean[..., None]).sum(1)
        spread = (self.inducing_root.mT @ projected).square().sum(1) - projected.square().sum(1)
        return mean.mT, (self.signal_variance[:, None] + spread).mT

    def _standard_joint(self, z: Tensor) -> tuple[Tensor, Tensor]:
        projected = self._projected(z)
        spread = self.inducing_root.mT @ projected
        prior = matern(z[None], z[None], self.length_scales, self.signal_variance)
        mean = (projected * self.inducing_mean[..., None]).sum(1)
        return mean, prior - projected.mT @ projected + spread.mT @ spread

    def _standard_leave_one_out(self) -> tuple[Tensor, Tensor]:
        """A sample y is seen through h, what the inducing values say of f: divide its factor N(y; h, sn²) out."""
        projected = self._projected(self.inputs)
        noise = self.noise_variance
        mean = (projected * self.inducing_mean[..., None]).sum(1).mT
        seen = (self.inducing_root.mT @ projected).square().sum(1).mT
        seen = torch.minimum(seen.clamp_min(1e-12), LARGEST_SHARE * noise)  # less than sn², up to rounding
        left = 1 / (1 / seen - 1 / noise)
        unseen = (self.signal_variance[:, None] - projected.square().sum(1)).clamp_min(0).mT
        return left * (mean / seen - self.targets / noise), left + unseen + noise

    def _projected(self, z: Tensor) -> Tensor:
        """L⁻¹ k(Z, x), ``(m, k, q)``."""
        cross = matern(self.inducing, z[None], self.length_scales, self.signal_variance)
        return torch.linalg.solve_triangular(self.prior_root, cross, upper=False)


def best_inducing_values(
    inputs: Tensor, targets: Tensor, inducing: Tensor, length_scales: Tensor, signal: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """The normal distribution at the inducing points that maximises the lower bound (Titsias 2009, eq. 10).

    Parameters
    ----------
    inputs, targets
        ``(n, d)`` and ``(n, m)``, standardised.
    inducing, length_scales, signal, noise
        ``(m, k, d)``, ``(m, d)``, ``(m,)``, ``(m,)``.

    Returns
    -------
    tuple of Tensor
        Mean ``(m, k)`` and a root ``(m, k, k)`` of the covariance, both whitened by the prior's Cholesky factor.
    """
    means, roots = [], []
    for column in range(targets.shape[1]):
        one = slice(column, column + 1)
        prior = factorise(matern(inducing[one], inducing[one], length_scales[one], signal[one]))[0]
        cross = matern(inducing[one], inputs[None], length_scales[one], signal[one])
        projected = torch.linalg.solve_triangular(prior, cross, upper=False)[0] / noise[column].sqrt()
        precision = torch.eye(len(projected), dtype=inputs.dtype, device=inputs.device) + projected @ projected.mT
        root = torch.linalg.cholesky(precision)
        right = projected @ targets[:, column, None] / noise[column].sqrt()
        means.append(torch.cholesky_solve(right, root)[:, 0])
        # Covariance (R Rᵀ)⁻¹ has the root R⁻ᵀ.
        roots.append(torch.linalg.solve_triangular(root, torch.eye(len(root)).to(root), upper=False).mT)
    return torch.stack(means), torch.stack(roots)
