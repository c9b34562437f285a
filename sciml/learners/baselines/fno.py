"""Fourier neural operator (Li et al. 2021) through the neuraloperator package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from torch import nn

from sciml.learners.grid_features import Base
from sciml.learners.grid_learner import GridConfig, GridLearner, require_at_least

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

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, channels=self.channels, modes=self.modes, layers=self.layers)


class FNO(GridLearner):
    """Fourier neural operator (baseline; extra `baselines`)."""

    name: ClassVar[str] = "fno"
    config_type: ClassVar[type] = FNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-3, "batch_size": 8}
    config: FNOConfig

    @classmethod
    def missing(cls) -> str | None:
        """The package neuraloperator, where it is not installed."""
        if find_spec("neuralop") is not None:
            return None
        return 'fno needs the package neuraloperator: pip install "sciml-pde[baselines]" brings it.'

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network of `neuralop.models.FNO`."""
        from neuralop.models import FNO as Network

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
