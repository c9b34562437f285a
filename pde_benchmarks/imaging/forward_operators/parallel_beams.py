"""The geometry of a scan by parallel beams: where its rays run, and at which points they are sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError

__all__ = ["ParallelBeams"]

#: Distance of the sampling points on a ray, in pixels.
STEP = 0.5


@dataclass(frozen=True)
class ParallelBeams:
    """Rays through an image of size × size pixels of side 1, parallel for each of some angles θⱼ = jπ / angles.

    A ray of angle θ and offset s is the line s (cos θ, sin θ) + t (−sin θ, cos θ), in coordinates (column, row) whose
    origin is the centre of the image. Detectors are one pixel apart, and as many as see the whole image.

    Parameters
    ----------
    size
        Pixels per axis.
    angles
        Number of directions over half a turn.

    Raises
    ------
    OperatorError
        If a number is too small.

    Examples
    --------
    >>> ParallelBeams(size=32, angles=15).detectors
    47
    """

    size: int
    angles: int

    def __post_init__(self) -> None:
        if self.size < 2 or self.angles < 1:
            raise OperatorError(f"{self}: at least 2 pixels an axis and 1 angle are needed.")

    @property
    def detectors(self) -> int:
        """⌈√2 size⌉, made odd."""
        return math.ceil(math.sqrt(2) * self.size) | 1

    @property
    def directions(self) -> Tensor:
        """The angles θ in radians, float64 ``(angles,)``."""
        return torch.arange(self.angles, dtype=torch.float64) * (math.pi / self.angles)

    @property
    def offsets(self) -> Tensor:
        """The offsets s of the detectors in pixels, float64 ``(detectors,)``."""
        return torch.arange(self.detectors, dtype=torch.float64) - (self.detectors - 1) / 2

    @property
    def along(self) -> Tensor:
        """The places t of the sampling points on a ray, half a pixel apart, float64 ``(points,)``."""
        half = self.size / math.sqrt(2)
        return torch.arange(-half, half + STEP / 2, STEP, dtype=torch.float64)

    def ray_points(self, chosen: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Columns and rows, counted in pixels from the centre of the first, of the points at which rays are sampled.

        Parameters
        ----------
        chosen
            Which angles; all by default.

        Returns
        -------
        tuple of Tensor
            float64, shape ``(angles, detectors, points)``.
        """
        along, directions = self.along, self.directions[chosen]
        cos, sin = directions.cos()[:, None, None], directions.sin()[:, None, None]
        s, centre = self.offsets[:, None], (self.size - 1) / 2
        return centre + s * cos - along * sin, centre + s * sin + along * cos
