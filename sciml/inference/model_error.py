"""How wrong the forward map itself is at the sensors: a covariance that is added to that of the noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, ObservationError
from sciml.inference.observation import Observation

__all__ = ["ErrorCovariance", "ErrorFraction", "ErrorVariance", "ModelError"]


class ModelError(ABC):
    """The error of a forward map, Gaussian with mean zero. Left out, posteriors are too narrow where noise is small."""

    @abstractmethod
    def covariance(self, observation: Observation) -> Tensor:
        """Variances ``(B, n)``, or covariances ``(B, n, n)``, of the dtype of the observation."""


@dataclass(frozen=True)
class ErrorFraction(ModelError):
    """Independent errors with a standard deviation of ``fraction`` times the root mean square of the measured values.

    Examples
    --------
    >>> observation = Observation(torch.rand(2, 1), torch.tensor([[3.0, -3.0]]), 0.1)
    >>> ErrorFraction(0.02).covariance(observation)
    tensor([[0.0036, 0.0036]])
    """

    fraction: float

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < float("inf"):
            raise ConfigurationError(f"fraction = {self.fraction}: a finite number, zero or positive, is expected.")

    def covariance(self, observation: Observation) -> Tensor:
        measured = observation.observed.sum(-1, keepdim=True).clamp_min(1)
        mean_square = observation.filled.square().sum(-1, keepdim=True) / measured
        return (self.fraction**2 * mean_square).expand_as(observation.values)


@dataclass(frozen=True)
class ErrorVariance(ModelError):
    """Independent errors of known variance at every sensor, ``(n,)`` or ``(B, n)``."""

    variance: Tensor

    def __post_init__(self) -> None:
        bad = (~((self.variance >= 0) & self.variance.isfinite())).nonzero().tolist()
        if bad:
            raise ObservationError(f"model error: variances, zero or positive, are expected; not so at {bad[:8]}.")

    def covariance(self, observation: Observation) -> Tensor:
        variance = self.variance.to(observation.values)
        if variance.shape[-1:] != observation.values.shape[-1:]:
            raise _wrong_shape(variance, observation)
        return variance.expand_as(observation.values)


@dataclass(frozen=True)
class ErrorCovariance(ModelError):
    """Correlated errors of known covariance, ``(n, n)``: those of a learned operator at neighbouring sensors are."""

    matrix: Tensor

    @classmethod
    def from_errors(cls, errors: Tensor) -> ErrorCovariance:
        """Second moments of the errors ``(samples, n)`` of predictions of held-out solutions at the sensors.

        Taken about zero, so that a bias counts too.
        """
        return cls(errors.T @ errors / len(errors))

    def covariance(self, observation: Observation) -> Tensor:
        count, sensors = observation.values.shape
        if self.matrix.shape != (sensors, sensors):
            raise _wrong_shape(self.matrix, observation)
        if not torch.allclose(self.matrix, self.matrix.T, rtol=1e-4, atol=1e-6 * float(self.matrix.abs().amax())):
            raise ObservationError("model error: the covariance is not symmetric: use (C + C.T) / 2.")
        return self.matrix.to(observation.values).expand(count, sensors, sensors)


def _wrong_shape(found: Tensor, observation: Observation) -> ObservationError:
    return ObservationError(
        f"model error: shape {tuple(found.shape)} does not fit observations of {observation.values.shape[-1]} sensors."
    )
