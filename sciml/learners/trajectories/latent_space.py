"""The latent space that a learner of trajectories can choose."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.errors import ConfigurationError
from sciml.learners.trajectories.autoencoders import autoencoder_named
from sciml.learners.trajectories.config import DynamicsConfig

__all__ = ["LatentSpaceConfig"]


@dataclass(frozen=True)
class LatentSpaceConfig(DynamicsConfig):
    """As `DynamicsConfig`, and the latent space.

    Parameters
    ----------
    latent
        Dimension of the latent space; a state of fewer numbers keeps its own dimension.
    autoencoder
        ``pod``: leading orthogonal modes of the training data. ``linear``: linear maps that begin as these modes and
        are trained on. ``network``: the modes plus networks that begin as zero.
    reconstruction
        Weight of the autoencoder's own relative error in the loss, where it is trained.

    Raises
    ------
    ConfigurationError
        If a value is unknown or out of its range.
    """

    latent: int = 8
    autoencoder: str = "pod"
    reconstruction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        autoencoder_named(self.autoencoder)
        if self.latent < 1:
            raise ConfigurationError(f"latent = {self.latent}: a dimension of at least 1 is expected.")
        if not 0 <= self.reconstruction < float("inf"):
            raise ConfigurationError(
                f"reconstruction = {self.reconstruction}: a finite weight of at least 0 is needed."
            )
