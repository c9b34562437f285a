"""GPyTorch's variational model of a batch of columns, which the fit trains."""

from __future__ import annotations

from typing import Any

import gpytorch
import torch
from torch import Tensor, nn

from sciml.learners.mmgp.gaussian_processes.kernel import JITTERS
from sciml.learners.mmgp.gaussian_processes.sparse import best_inducing_values

__all__ = ["VariationalColumns"]


class VariationalColumns(nn.Module):
    """Model, noise and lower bound of m columns, each with its own kernel and inducing points.

    Parameters
    ----------
    inputs, targets
        Standardised ``(n, d)`` and ``(n, m)``.
    start
        Logarithms of the hyper-parameters ``(m, d + 2)``.
    centres
        Inducing points to start from ``(k, d)``.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, start: Tensor, centres: Tensor) -> None:
        super().__init__()
        columns = torch.Size([targets.shape[1]])
        self.process = _Process(centres.expand(*columns, *centres.shape).clone())
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood(batch_shape=columns, noise_constraint=_logarithmic())
        self.to(inputs)
        self.bound = gpytorch.mlls.VariationalELBO(self.likelihood, self.process, num_data=len(inputs))
        self.process.kernel.base_kernel.lengthscale = start[:, None, :-2].exp()
        self.process.kernel.outputscale = start[:, -2].exp()
        self.likelihood.noise = start[:, -1:].exp()
        self._set_values(*best_inducing_values(inputs, targets, *self.parts()))

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Lower bound of the log density, nats a sample, ``(m,)``; of a batch ``(b, d)`` and ``(b, m)``."""
        bound: Tensor = self.bound(self.process(inputs), targets.mT)
        return bound

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inducing points ``(m, k, d)``, length scales ``(m, d)``, signal and noise variance ``(m,)``."""
        kernel = self.process.kernel
        points = self.process.variational_strategy.inducing_points
        found = (points, kernel.base_kernel.lengthscale[:, 0], kernel.outputscale, self.likelihood.noise[:, 0])
        points, length_scales, signal, noise = (part.detach() for part in found)
        return points, length_scales, signal, noise

    def _set_values(self, mean: Tensor, root: Tensor) -> None:
        strategy = self.process.variational_strategy
        values = strategy._variational_distribution
        values.variational_mean.data.copy_(mean)
        values.chol_variational_covar.data.copy_(torch.linalg.cholesky(root @ root.mT))
        strategy.variational_params_initialized.fill_(1)  # or the first call would reset them to the prior


class _Process(gpytorch.models.ApproximateGP):
    def __init__(self, points: Tensor) -> None:
        columns, count, dimension = points.shape
        batch = torch.Size([columns])
        values = gpytorch.variational.CholeskyVariationalDistribution(count, batch_shape=batch)
        super().__init__(gpytorch.variational.VariationalStrategy(self, points, values, jitter_val=JITTERS[0]))
        self.mean = gpytorch.means.ZeroMean(batch_shape=batch)
        matern = gpytorch.kernels.MaternKernel(
            2.5, ard_num_dims=dimension, batch_shape=batch, lengthscale_constraint=_logarithmic()
        )
        self.kernel = gpytorch.kernels.ScaleKernel(matern, batch_shape=batch, outputscale_constraint=_logarithmic())

    def forward(self, x: Tensor) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))


def _logarithmic() -> Any:
    return gpytorch.constraints.Positive(transform=torch.exp, inv_transform=torch.log)
