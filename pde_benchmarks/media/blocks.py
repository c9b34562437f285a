"""A medium of square blocks, each with a value of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.media.medium import Average, Medium
from pde_benchmarks.problem import Positive

__all__ = ["BlockDarcy"]


@dataclass(frozen=True)
class BlockDarcy(Medium):
    """Darcy flow (see `Medium`) with a constant on each of ``blocks`` × ``blocks`` blocks: log a is uniform.

    Node i of n belongs to block ⌊i · blocks / n⌋, so that blocks are whole pixels.

    Parameters
    ----------
    resolution
        As in `Medium`.
    average
        As in `Medium`; harmonic by default, as the medium is constant on pixels.
    blocks
        Per axis.
    low, high
        Range of a.

    Examples
    --------
    >>> BlockDarcy().sample(1, torch.Generator().manual_seed(0))["coefficient"].unique().numel()
    16
    """

    average: Average = "harmonic"
    blocks: int = 4
    low: float = 1.0
    high: float = 10.0
    name: ClassVar[str] = "darcy-blocks"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.blocks <= self.resolution:
            raise ProblemError(f"darcy-blocks blocks {self.blocks}: 1 to {self.resolution} per axis are expected.")
        if not 0 < self.low < self.high:
            raise ProblemError(f"darcy-blocks values {self.low} to {self.high}: 0 < low < high is expected.")

    @property
    def kind(self) -> Positive:
        """Any value between low and high."""
        return Positive()

    @property
    def typical_coefficient(self) -> float:
        """The geometric mean of low and high."""
        return math.sqrt(self.low * self.high)

    def coefficients(self, count: int, generator: Generator) -> Tensor:
        """Random media, float64, ``(count, n, n)``."""
        shape = (count, self.blocks, self.blocks)
        draws = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device).cpu()
        a = self.low * (self.high / self.low) ** draws
        block = torch.arange(self.resolution) * self.blocks // self.resolution
        return a[:, block][:, :, block]
