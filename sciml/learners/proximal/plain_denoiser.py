"""A plain convolutional denoiser: the baseline of learned proximal networks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from torch import Tensor, nn

from sciml.errors import ConfigurationError
from sciml.learners.proximal.denoiser import DenoisingLearner
from sciml.learners.proximal.matching import mean_square

__all__ = ["PlainDenoiser", "PlainDenoiserConfig"]

_CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class PlainDenoiserConfig:
    """Width, depth and kernel of the network.

    Parameters
    ----------
    channels, layers
        Hidden channels, and convolutions.
    kernel
        Points along an axis, odd.
    """

    channels: int = 16
    layers: int = 5
    kernel: int = 3

    def __post_init__(self) -> None:
        if self.channels < 1 or self.layers < 2 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigurationError(f"{self}: at least 1 channel, 2 layers and an odd kernel are expected.")


class PlainDenoiser(DenoisingLearner):
    """Convolutions with rectifiers that predict the noise (Zhang et al. 2017, DnCNN, without batch normalisation).

    It is the gradient of nothing: iterations with it have no objective.
    """

    name: ClassVar[str] = "cnn-denoiser"
    config_type: ClassVar[type] = PlainDenoiserConfig
    training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-2, "batch_size": 16, "weight_decay": 0.0, "warmup": 0.05, "final_fraction": 0.02,
    }  # fmt: skip
    config: PlainDenoiserConfig

    def build(self) -> nn.Module:
        c, convolution = self.config, _CONVOLUTIONS[self.dim]
        widths = [self.channels, *[c.channels] * (c.layers - 1), self.channels]
        layers: list[nn.Module] = []
        for source, target in pairwise(widths):
            layers += [convolution(source, target, c.kernel, padding=c.kernel // 2), nn.ReLU()]
        return Residual(nn.Sequential(*layers[:-1]))

    def denoised(self, v: Tensor) -> Tensor:
        answer: Tensor = self.module(v)
        return answer

    def loss_of(self, error: Tensor) -> Tensor:
        return mean_square(error)


class Residual(nn.Module):
    """V minus what a network says of it."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, v: Tensor) -> Tensor:
        """V − noise(v)."""
        answer: Tensor = v - self.noise(v)
        return answer
