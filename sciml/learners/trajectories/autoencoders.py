"""Between states and latent states: all begin as the orthogonal projection, some are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigurationError
from sciml.learners.trajectories.orthogonal_decomposition import orthogonal_modes

__all__ = [
    "AUTOENCODERS",
    "Autoencoder",
    "NetworkProjection",
    "OrthogonalProjection",
    "TrainedProjection",
    "Unreduced",
    "autoencoder_named",
]


class Autoencoder(nn.Module, ABC):
    """A map to latent states and back.

    Attributes
    ----------
    trained
        Whether training changes it, so that its reconstruction belongs into the loss.
    """

    trained: ClassVar[bool] = False

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Latent states of states ``(B, *shape)``."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """States of latent states."""

    @abstractmethod
    def begin(self, states: Tensor) -> None:
        """Fit to training states ``(count, *shape)`` before training begins."""


class Unreduced(Autoencoder):
    """The latent state is the state."""

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, z: Tensor) -> Tensor:
        return z

    def begin(self, states: Tensor) -> None:
        """Nothing is fitted."""


class OrthogonalProjection(Autoencoder):
    """Coefficients of the leading orthogonal modes in units of their standard deviation; not trained further.

    Parameters
    ----------
    shape
        Of a state.
    latent
        Number of coefficients.
    width
        Unused: there are no hidden layers.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int = 0) -> None:
        super().__init__()
        self.shape = shape
        size = torch.Size(shape).numel()
        self._hold("mean", torch.zeros(size))
        self._hold("analysis", torch.zeros(size, latent))
        self._hold("synthesis", torch.zeros(latent, size))

    def _hold(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.analysis

    def decode(self, z: Tensor) -> Tensor:
        return (self.mean + z @ self.synthesis).reshape(-1, *self.shape)

    @torch.no_grad()
    def begin(self, states: Tensor) -> None:
        found = orthogonal_modes(states.flatten(1), self.analysis.shape[1])
        self.mean.copy_(found.mean)
        self.analysis.copy_(found.modes.T / found.deviations)
        self.synthesis.copy_(found.deviations[:, None] * found.modes)

    mean: Tensor
    analysis: Tensor
    synthesis: Tensor


class TrainedProjection(OrthogonalProjection):
    """A linear encoder and a linear decoder that begin as the orthogonal projection and are trained on."""

    trained: ClassVar[bool] = True

    def _hold(self, name: str, value: Tensor) -> None:
        self.register_parameter(name, nn.Parameter(value))


class NetworkProjection(OrthogonalProjection):
    """The orthogonal projection plus networks that begin as zero: a curved manifold instead of a plane.

    Parameters
    ----------
    shape
        Of a state.
    latent
        Number of coefficients.
    width
        Of the one hidden layer of either network.
    """

    trained: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...], latent: int, width: int = 64) -> None:
        super().__init__(shape, latent)
        size = len(self.mean)
        self.encoder, self.decoder = _silent(size, width, latent), _silent(latent, width, size)

    def encode(self, x: Tensor) -> Tensor:
        correction: Tensor = self.encoder(x.flatten(1))
        return super().encode(x) + correction

    def decode(self, z: Tensor) -> Tensor:
        correction: Tensor = self.decoder(z)
        return super().decode(z) + correction.reshape(-1, *self.shape)


def _silent(inputs: int, width: int, outputs: int) -> nn.Module:
    """A perceptron whose answer is zero until it is trained."""
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), last)


AUTOENCODERS: dict[str, type[OrthogonalProjection]] = {
    "pod": OrthogonalProjection,
    "linear": TrainedProjection,
    "network": NetworkProjection,
}


def autoencoder_named(name: str) -> type[OrthogonalProjection]:
    """One of `AUTOENCODERS`.

    Raises
    ------
    ConfigurationError
        If there is none of this name.
    """
    if name not in AUTOENCODERS:
        raise ConfigurationError(f"autoencoder = {name!r}: use one of {', '.join(AUTOENCODERS)}.")
    return AUTOENCODERS[name]
