"""Staggered grid: velocities on the faces of square or cubic cells, everything else at their centres."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["MacGrid"]


@dataclass(frozen=True)
class MacGrid:
    """Marker-and-cell grid (Harlow & Welch 1965) in two or three dimensions, its corner at the origin.

    Component a of a velocity lives on the faces normal to axis a, ``(batch, *face_shape(a))``; pressure, density and
    temperature live at the centres, ``(batch, *shape)``. Axis 0 is x, axis 1 is y, axis 2 is z.

    Parameters
    ----------
    shape
        Cells along every axis.
    spacing
        Edge h of a cell, in the unit of length.

    Raises
    ------
    ProblemError
        Other than two or three axes, an axis of fewer than two cells, or a spacing that is not positive.

    Examples
    --------
    >>> grid = MacGrid((4, 8), spacing=0.25)
    >>> grid.face_shape(1), grid.extent
    ((4, 9), (1.0, 2.0))
    """

    shape: tuple[int, ...]
    spacing: float

    def __post_init__(self) -> None:
        if len(self.shape) not in (2, 3) or min(self.shape) < 2:
            raise ProblemError(f"grid {self.shape}: two or three axes of at least 2 cells are expected.")
        if not (isfinite(self.spacing) and self.spacing > 0):
            raise ProblemError(f"spacing {self.spacing}: a positive length is expected.")

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def extent(self) -> tuple[float, ...]:
        """Length of the box along every axis."""
        return tuple(n * self.spacing for n in self.shape)

    def face_shape(self, axis: int) -> tuple[int, ...]:
        """Number of faces normal to `axis`, along every axis."""
        return tuple(n + (k == axis) for k, n in enumerate(self.shape))

    def location(self, axis: int | None) -> tuple[int, ...]:
        """Shape of a field on the faces normal to `axis`, or at the centres (None)."""
        return self.shape if axis is None else self.face_shape(axis)

    def points(self, axis: int | None, dtype: torch.dtype = torch.float64) -> Tensor:
        """Coordinates ``(*location(axis), dimension)`` of the face centres normal to `axis`, or of the cell centres."""
        lines = [
            (torch.arange(n, dtype=dtype) + (0.0 if k == axis else 0.5)) * self.spacing
            for k, n in enumerate(self.location(axis))
        ]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
