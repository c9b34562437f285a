"""What fitted Gaussian processes answer, in the units of the data they were fitted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from sciml.errors import LearnerError
from sciml.inference.random_draws import normal
from sciml.learners.mmgp.gaussian_processes.standardisation import standardised

__all__ = ["GaussianPrediction", "GaussianProcesses"]

ENTRIES = 2**25
"""Entries of the cross-covariance with the samples that a prediction makes at a time (256 MiB in float64)."""


@dataclass(frozen=True)
class GaussianPrediction:
    """Independent normal distributions, mean and variance each ``(q, m)``."""

    mean: Tensor
    variance: Tensor


class GaussianProcesses(nn.Module, ABC):
    """One Gaussian process an output column, all over the same d inputs.

    Everything learned is in persistent buffers, so ``state_dict`` is the whole model and `restore` rebuilds it.

    Parameters
    ----------
    state
        The buffers by name: ``inputs (n, d)`` and ``targets (n, m)``, standardised; ``input_mean``,
        ``input_deviation (d,)``; ``target_mean``, ``target_deviation``, ``status (m,)``; ``length_scales (g, d)``,
        ``signal_variance``, ``noise_variance (g,)`` of the kernels, in standardised units; and what the subclass adds.
    """

    inputs: Tensor
    targets: Tensor
    input_mean: Tensor
    input_deviation: Tensor
    target_mean: Tensor
    target_deviation: Tensor
    status: Tensor
    length_scales: Tensor
    signal_variance: Tensor
    noise_variance: Tensor

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name, value.detach().clone().contiguous())
        self.register_load_state_dict_post_hook(lambda module, _: module._prepare())
        self._prepare()

    @property
    def noise(self) -> Tensor:
        """Variance of the noise of every column, in the columns' squared units, ``(m,)``; 0 for a constant column."""
        return self._column_noise() * self.target_deviation.square()

    @property
    def log_likelihood(self) -> Tensor:
        """Log density of every training column (its lower bound where inducing points are used), nats, ``(m,)``.

        In the columns' own units, so a column scaled by c loses n log c; infinite for a constant column.
        """
        return self._standard_log_likelihood() - len(self.inputs) * self.target_deviation.log()

    def predict(self, x: Tensor) -> GaussianPrediction:
        """Mean and variance of the latent functions (without noise) at ``x (q, d)``, each ``(q, m)``.

        Differentiable in ``x``. Of a constant column the answer is the constant, with variance zero.

        Raises
        ------
        LearnerError
            If ``x`` is not ``(q, d)``, or of another dtype or device than the training data.
        """
        z = self._standard_inputs(x)
        rows = max(1, ENTRIES // (len(self.inputs) * len(self.signal_variance)))
        parts = [self._standard_posterior(part) for part in z.split(rows)]
        mean, variance = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return self._in_units(mean, variance.clamp_min(0))

    def sample(self, x: Tensor, count: int, generator: Generator) -> Tensor:
        """Draws of the latent functions, jointly over the points ``x (q, d)`` of each column, ``(count, q, m)``."""
        mean, covariance = self._standard_joint(self._standard_inputs(x))
        # A spectral root: the covariance is singular where points coincide, and Cholesky would fail there.
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()[:, None]
        white = normal((count, *mean.shape), generator, mean)
        draws = mean + torch.einsum("mij,cmj->cmi", root, white)
        return self.target_mean + self.target_deviation * draws.mT

    def leave_one_out(self) -> GaussianPrediction:
        """What each training value would have been predicted to be by all others, ``(n, m)``, without a refit.

        The variance is that of an observation: unlike in `predict`, the noise is in it. Hyper-parameters and
        standardisation are those of all samples.
        """
        return self._in_units(*self._standard_leave_one_out())

    def _standard_inputs(self, x: Tensor) -> Tensor:
        known = self.input_mean
        if x.ndim != 2 or x.shape[1] != len(known):
            raise LearnerError(f"inputs have the shape {tuple(x.shape)}, but (points, {len(known)}) is expected.")
        if x.dtype != known.dtype or x.device != known.device:
            raise LearnerError(
                f"inputs are {x.dtype} on {x.device}, but the Gaussian processes are {known.dtype} on {known.device}: "
                "convert the inputs with .to(dtype, device)."
            )
        return standardised(x, known, self.input_deviation)

    def _in_units(self, mean: Tensor, variance: Tensor) -> GaussianPrediction:
        deviation = self.target_deviation
        return GaussianPrediction(self.target_mean + deviation * mean, deviation.square() * variance)

    @abstractmethod
    def _prepare(self) -> None:
        """Factorise what every answer needs, after construction and after loading."""

    @abstractmethod
    def _column_noise(self) -> Tensor:
        """Noise variance of every column, standardised, ``(m,)``; what was added to the diagonal is noise too."""

    @abstractmethod
    def _standard_log_likelihood(self) -> Tensor:
        """Log density of the standardised columns ``(m,)``."""

    @abstractmethod
    def _standard_posterior(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance ``(q, m)`` at standardised inputs."""

    @abstractmethod
    def _standard_joint(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(m, q)`` and covariance ``(m, q, q)`` at standardised inputs."""

    @abstractmethod
    def _standard_leave_one_out(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of observations ``(n, m)``."""
