"""Denoising of images that were read from files: there is no law to draw more of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.imaging.denoising import DenoisingProblem
from pde_benchmarks.problem import FieldSpec, Grid

__all__ = ["ImageDenoising"]


@dataclass(frozen=True)
class ImageDenoising(DenoisingProblem):
    """Recorded images with values in [0, 1], and white Gaussian noise.

    Parameters
    ----------
    source
        The file or folder that they were read from.
    shape
        Points per axis.
    channels
        1 for grey images, 3 for colour.
    noise
        Standard deviation of the noise; values lie in [0, 1].
    low, high
        The values in the files that became 0 and 1.

    Examples
    --------
    >>> ImageDenoising("photographs", (32, 32), channels=3).clean.channels
    3
    """

    source: str = ""
    shape: tuple[int, ...] = (32, 32)
    channels: int = 1
    noise: float = 0.1
    low: float = 0.0
    high: float = 1.0
    name: ClassVar[str] = "denoising-images"

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 2 or self.channels < 1 or not self.low < self.high:
            raise ProblemError(f"{self}: at least 2 points an axis, 1 channel, and low < high are expected.")
        self._require_noise()

    @property
    def clean(self) -> FieldSpec:
        return FieldSpec("clean", self.channels, Grid(tuple(self.shape), "cell", ("neumann",) * len(self.shape)))

    @property
    def peak(self) -> float:
        return 1.0

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Not possible: raises `ProblemError`."""
        raise ProblemError(f"{self.source}: recorded images have no law to draw new ones from: give more files.")
