"""Fourier neural operator (Li et al. 2021) through the neuraloperator package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sciml.errors import LearnerError
from sciml.learners.grid_features import Base
from sciml.learners.grid_learner import GridConfig, GridLearner

__all__ = ["FNO", "FNOConfig"]


@dataclass(frozen=True)
class FNOConfig(GridConfig):
    """FNO; the defaults are its best setting for budgets of minutes.

    Parameters
    ----------
    channels, modes, layers
        Width, Fourier modes kept per axis, depth.
    """

    base: Base | None = None
    channels: int = 24
    modes: int = 8
    layers: int = 4


class FNO(GridLearner):
    """Fourier neural operator (baseline; extra `baselines`)."""

    name: ClassVar[str] = "fno"
    config_type: ClassVar[type] = FNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-3, "batch_size": 8}
    config: FNOConfig

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network of `neuralop.models.FNO`."""
        try:
            from neuralop.models import FNO as Network
        except ImportError:
            raise LearnerError('fno needs the package neuraloperator: pip install "sciml-pde[baselines]".') from None
        config = self.config
        network: nn.Module = Network(
            n_modes=(config.modes,) * self.grid.dim,
            in_channels=inputs,
            out_channels=outputs,
            hidden_channels=config.channels,
            n_layers=config.layers,
            positional_embedding=None,  # the coordinates are channels already
        )
        return network
