"""Fourier neural operator (Li et al. 2021) through the neuraloperator package."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from torch import nn

from sciml.capabilities import Capabilities
from sciml.errors import ConfigurationError
from sciml.learners.grid_learner import GridConfig, GridLearner, require_at_least
from sciml.learners.padded import Padded

__all__ = ["FNO", "FNOConfig"]

FFT_UNIT = 8  # a grid of, say, 101 points is transformed twice as fast on 104, and what is not periodic gains a margin


@dataclass(frozen=True)
class FNOConfig(GridConfig):
    """FNO; the defaults are its best setting for budgets of minutes.

    Parameters
    ----------
    channels, modes, layers
        Width, Fourier modes kept per axis, depth.
    """

    base: str | None = None
    channels: int = 24
    modes: int = 8
    layers: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, channels=self.channels, modes=self.modes, layers=self.layers)


class FNO(GridLearner):
    """Fourier neural operator (baseline; extra `baselines`)."""

    name: ClassVar[str] = "fno"
    capabilities: ClassVar[Capabilities] = replace(GridLearner.capabilities, uncertainty=None)
    config_type: ClassVar[type] = FNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-3, "batch_size": 8}
    config: FNOConfig

    @classmethod
    def missing(cls) -> str | None:
        """The package neuraloperator, where it is not installed or broken."""
        install = 'pip install "sciml-pde[baselines]"'
        if find_spec("neuralop") is None:
            return f"fno needs the package neuraloperator: {install} brings it."
        failure = _import_failure()
        if failure is None:
            return None
        return (
            f"fno needs the package neuraloperator, which is installed but cannot be imported ({failure}): "
            f"{install} --force-reinstall mends it."
        )

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network of `neuralop.models.FNO`, on fields padded to a size that is transformed fast.

        Raises
        ------
        ConfigurationError
            If there are more modes than the grid can hold.
        """
        from neuralop.models import FNO as Network

        config = self.config
        most = max(1, min(self.grid.shape) // 2)
        if config.modes > most:
            size = "×".join(map(str, self.grid.shape))
            raise ConfigurationError(
                f"modes = {config.modes}: a grid of {size} points holds at most {most} Fourier modes an axis: "
                f"modes={most} is the largest."
            )
        network: nn.Module = Network(
            n_modes=(config.modes,) * self.grid.dim,
            in_channels=inputs,
            out_channels=outputs,
            hidden_channels=config.channels,
            n_layers=config.layers,
            positional_embedding=None,  # the coordinates are channels already
        )
        if any(n % FFT_UNIT for n in self.grid.shape):
            return Padded(network, FFT_UNIT, offset=0)
        return network


@cache
def _import_failure() -> str | None:
    """Why the package cannot be imported though it is there (a dependency of another version, say)."""
    try:
        importlib.import_module("neuralop.models")
    except Exception as error:  # whatever a foreign package raises
        return f"{type(error).__name__}: {error}"
    return None
