"""A trained DGNO as the prior of an inverse problem: its latents, decoded to the input field and the solution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from pde_benchmarks.problem import Batch
from sciml.inference import ErrorFraction
from sciml.inverse import FieldPrior, observed_field

if TYPE_CHECKING:
    from sciml.learners.dgno.learner import DGNO

__all__ = ["DecodedFields"]


class DecodedFields(FieldPrior):
    """Inputs and outputs β ↦ (a, u) of a trained `DGNO`, β = g(z) by its fitted prior.

    Parameters
    ----------
    learner
        Trained: its prior is fitted. Its own error, as the equation estimates it on held-out inputs, is the model
        error.

    Raises
    ------
    LearnerError
        If nothing of the problem is observed at points.
    """

    def __init__(self, learner: DGNO) -> None:
        self.problem = learner.problem
        self.latent_dim = learner.config.latent
        self.model_error = ErrorFraction(float(learner.module.model_error))
        self._networks = learner.module.eval()
        self._decoded = learner.decoded
        self._observed = observed_field(learner.problem).name

    def inputs(self, z: Tensor) -> Batch:
        """Expected input fields ``(m, channels, *grid)``."""
        return self._decoded.input_fields(self._networks, self._latent(z))

    def draw_inputs(self, z: Tensor, generator: Generator) -> Batch:
        """Inputs from the likelihood: phases, their interfaces drawn, or what reconstruction leaves."""
        return self._fields(self._networks.likelihood.draw(self._raw(z), generator))

    def decided_inputs(self, z: Tensor) -> Batch:
        """The most probable phase in every point, or the expected value of a continuous field."""
        return self._fields(self._networks.likelihood.mode(self._raw(z)))

    def outputs(self, z: Tensor) -> Batch:
        """Decoded solutions."""
        latent = self._latent(z)
        return self._decoded.outputs(self._networks, latent, self._decoded.input_fields(self._networks, latent))

    def at_sensors(self, z: Tensor, points: Tensor) -> Tensor:
        """The decoded observed field; differentiable in z."""
        latent = self._latent(z)
        inputs = _Deferred(lambda: self._decoded.input_fields(self._networks, latent))
        places = points.to(latent)
        return self._decoded.field_at(self._networks, self._observed, latent, places, inputs)[..., 0].to(z.dtype)

    def _latent(self, z: Tensor) -> Tensor:
        weight = next(self._networks.parameters())
        latent: Tensor = self._networks.prior(z.to(weight))
        return latent

    def _raw(self, z: Tensor) -> Tensor:
        latent = self._latent(z)
        return self._networks.coefficient(latent, self._decoded.input_points.to(latent))

    def _fields(self, values: Tensor) -> Batch:
        return Batch({self._decoded.input.name: values.mT.unflatten(2, self._decoded.shape)})


class _Deferred(Batch):
    """Fields that are decoded when they are first asked for: boundary values seldom need the input."""

    def __init__(self, decode: Callable[[], Batch]) -> None:
        super().__init__({})
        self._decode = decode

    def __getitem__(self, name: str) -> Tensor:
        if not self._arrays:
            self._arrays = dict(self._decode())
        return super().__getitem__(name)
