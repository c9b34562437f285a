"""The exact posterior, with one kernel a column or one kernel for several."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciml.errors import LearnerError
from sciml.learners.mmgp.gaussian_processes.kernel import JITTERS, factorise, matern, plus_diagonal
from sciml.learners.mmgp.gaussian_processes.posterior import GaussianProcesses

__all__ = ["ExactGaussianProcesses"]


class ExactGaussianProcesses(GaussianProcesses):
    """Gaussian processes conditioned on every sample (Rasmussen & Williams 2006, algorithm 2.1).

    GPyTorch gives the same answers (tested), but evaluates kernel and solves anew for each: 0.3 s a point for
    90 columns of 200 samples, where the factors kept here answer in 2 ms. They take 8 g n² bytes.

    Parameters
    ----------
    state
        As for `GaussianProcesses`, and ``kernel_of_column (m,)``: which of the g kernels each column has.
    """

    kernel_of_column: Tensor
    jitter: Tensor
    root: Tensor
    weights: Tensor

    def _prepare(self) -> None:
        inputs, noise = self.inputs, self.noise_variance
        covariance = matern(inputs[None], inputs[None], self.length_scales, self.signal_variance)
        root, jitter = factorise(plus_diagonal(covariance, noise))
        if jitter.isnan().any():
            bad = jitter.isnan().nonzero().flatten().tolist()
            raise LearnerError(
                f"the covariance of kernels {bad[:5]} has no Cholesky factor even with {JITTERS[-1]:.0e} added to its "
                "diagonal: raise the lower bound of the noise variance (noise_bounds)."
            )
        self.register_buffer("jitter", jitter, persistent=False)
        self.register_buffer("root", root, persistent=False)
        self.register_buffer("weights", self._by_kernel(self.targets), persistent=False)

    def _by_kernel(self, columns: Tensor) -> Tensor:
        """K⁻¹ y of the columns ``(n, m)``, each with its own kernel."""
        solved = torch.empty_like(columns)
        for kernel, root in enumerate(self.root):
            mine = self.kernel_of_column == kernel
            solved[:, mine] = torch.cholesky_solve(columns[:, mine], root)
        return solved

    def _column_noise(self) -> Tensor:
        return (self.noise_variance + self.jitter)[self.kernel_of_column]

    def _standard_log_likelihood(self) -> Tensor:
        volume = self.root.diagonal(dim1=1, dim2=2).log().sum(1)[self.kernel_of_column]
        fit = (self.targets * self.weights).sum(0) / 2
        return -fit - volume - len(self.inputs) / 2 * math.log(2 * math.pi)

    def _standard_posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        cross = self._covariance(self.inputs, z)
        explained = torch.linalg.solve_triangular(self.root, cross, upper=False).square().sum(1)
        variance = self.signal_variance[:, None] - explained
        return self._mean(cross).mT, variance[self.kernel_of_column].mT

    def _standard_joint(self, z: Tensor) -> tuple[Tensor, Tensor]:
        cross = self._covariance(self.inputs, z)
        explained = torch.linalg.solve_triangular(self.root, cross, upper=False)
        covariance = self._covariance(z, z) - explained.mT @ explained
        return self._mean(cross), covariance[self.kernel_of_column]

    def _standard_leave_one_out(self) -> tuple[Tensor, Tensor]:
        """Mean y − K⁻¹y/[K⁻¹]_ii and variance 1/[K⁻¹]_ii (Rasmussen & Williams, eq. 5.12)."""
        diagonals = [torch.cholesky_inverse(root).diagonal() for root in self.root]
        variance = 1 / torch.stack(diagonals, 1)[:, self.kernel_of_column]
        return self.targets - self.weights * variance, variance

    def _covariance(self, a: Tensor, b: Tensor) -> Tensor:
        return matern(a[None], b[None], self.length_scales, self.signal_variance)

    def _mean(self, cross: Tensor) -> Tensor:
        """k(x, X) K⁻¹ y, ``(m, q)``, of the kernels' cross-covariances ``(g, n, q)``."""
        return torch.stack([self.weights[:, c] @ cross[k] for c, k in enumerate(self.kernel_of_column.tolist())])
