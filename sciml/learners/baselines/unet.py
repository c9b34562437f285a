"""U-Net (Ronneberger et al. 2015), the convolutional baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigurationError
from sciml.learners.grid_learner import GridConfig, GridLearner, require_at_least
from sciml.learners.mgno.v_cycle import CONVOLUTIONS, TRANSPOSED
from sciml.learners.padded import Padded

__all__ = ["UNet", "UNetConfig"]

GROUPS = 4  # of channels that are normalised together


@dataclass(frozen=True)
class UNetConfig(GridConfig):
    """U-Net with a number of parameters between those of `mgno` and `mgno-data`.

    Parameters
    ----------
    channels
        Width on the finest level; it doubles on each of the ``depth`` coarser ones.
    """

    base: str | None = None
    channels: int = 16
    depth: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, channels=self.channels, depth=self.depth)
        if self.channels % GROUPS:
            raise ConfigurationError(f"channels = {self.channels}: a multiple of {GROUPS} is expected.")


class UNet(GridLearner):
    """U-Net (baseline without further dependencies)."""

    name: ClassVar[str] = "unet"
    config_type: ClassVar[type] = UNetConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 2e-3, "batch_size": 8}
    config: UNetConfig

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """A U-Net, on fields padded to a size that it can halve ``depth`` times.

        Raises
        ------
        ConfigurationError
            If the coarsest level would have less than a point of the grid.
        """
        most = max(1, int(math.log2(min(self.grid.shape))))
        if self.config.depth > most:
            size = "×".join(map(str, self.grid.shape))
            raise ConfigurationError(
                f"depth = {self.config.depth}: a grid of {size} points halves at most {most} times: depth={most} is "
                "the largest."
            )
        network = UNetNetwork(inputs, outputs, self.config.channels, self.config.depth, self.grid.dim)
        return Padded(network, unit=2**self.config.depth, offset=0)


class UNetNetwork(nn.Module):
    """Two convolutions a level with group normalisation and GELU, max pooling, transposed convolutions, skips."""

    def __init__(self, inputs: int, outputs: int, channels: int, depth: int, dim: int) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(depth + 1)]
        sources = [inputs, *widths[:-1]]
        self.down = nn.ModuleList(_block(s, w, dim) for s, w in zip(sources, widths, strict=True))
        self.pool = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[dim](2)
        self.lift = nn.ModuleList(TRANSPOSED[dim](2 * w, w, 2, stride=2) for w in widths[:-1])
        self.up = nn.ModuleList(_block(2 * w, w, dim) for w in widths[:-1])
        self.readout = CONVOLUTIONS[dim](channels, outputs, 1)

    def forward(self, field: Tensor) -> Tensor:
        """Map ``(batch, inputs, *grid)`` to ``(batch, outputs, *grid)``."""
        skips = []
        for level, block in enumerate(self.down):
            field = block(field if level == 0 else self.pool(field))
            skips.append(field)
        for level in reversed(range(len(self.up))):
            field = self.up[level](torch.cat([skips[level], self.lift[level](field)], 1))
        result: Tensor = self.readout(field)
        return result


def _block(inputs: int, outputs: int, dim: int) -> nn.Module:
    convolution = CONVOLUTIONS[dim]
    return nn.Sequential(
        convolution(inputs, outputs, 3, padding=1),
        nn.GroupNorm(GROUPS, outputs),
        nn.GELU(),
        convolution(outputs, outputs, 3, padding=1),
        nn.GroupNorm(GROUPS, outputs),
        nn.GELU(),
    )
