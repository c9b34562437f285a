"""What a body covers: balls, boxes and the insides of closed surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from meshes import Mesh
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.pose import Pose
from pde_benchmarks.smoke.winding_number import closed_triangles, winding_numbers

__all__ = ["Ball", "Cuboid", "Shape", "SurfaceSolid"]


class Shape(Protocol):
    """A part of space."""

    @property
    def dimension(self) -> int:
        """2 or 3."""

    def covers(self, grid: MacGrid, pose: Pose) -> Tensor:
        """Cells whose centre is inside, bool ``(*grid.shape)``."""


@dataclass(frozen=True)
class Ball:
    """All points nearer than `radius` to `centre`; a disc in the plane.

    Examples
    --------
    >>> from pde_benchmarks.smoke import Body
    >>> int(Body(Ball((0.5, 0.5), 0.3)).covers(MacGrid((4, 4), 0.25), time=0.0).sum())
    4
    """

    centre: tuple[float, ...]
    radius: float

    def __post_init__(self) -> None:
        if not (isfinite(self.radius) and self.radius > 0 and all(map(isfinite, self.centre))):
            raise ProblemError(f"ball of radius {self.radius} around {self.centre}: a positive radius is expected.")

    @property
    def dimension(self) -> int:
        return len(self.centre)

    def covers(self, grid: MacGrid, pose: Pose) -> Tensor:
        x = pose.to_body(grid.points(None))
        return torch.linalg.vector_norm(x - torch.tensor(self.centre, dtype=x.dtype), dim=-1) < self.radius


@dataclass(frozen=True)
class Cuboid:
    """All points between two corners; a rectangle in the plane.

    Examples
    --------
    >>> from pde_benchmarks.smoke import Body
    >>> int(Body(Cuboid((0.0, 0.0), (0.5, 0.3))).covers(MacGrid((4, 4), 0.25), time=0.0).sum())
    2
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or not all(a < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ProblemError(f"cuboid from {self.lower} to {self.upper}: ascending corners are expected.")

    @property
    def dimension(self) -> int:
        return len(self.lower)

    def covers(self, grid: MacGrid, pose: Pose) -> Tensor:
        x = pose.to_body(grid.points(None))
        inside = (x > torch.tensor(self.lower, dtype=x.dtype)) & (x < torch.tensor(self.upper, dtype=x.dtype))
        return inside.all(-1)


@dataclass(frozen=True, eq=False)
class SurfaceSolid:
    """The inside of a closed surface: where its winding number is above one half.

    Parameters
    ----------
    surface
        Triangles or quadrilaterals in three dimensions with outward normals, such as `meshes.read_mesh` reads from an
        STL file; in the coordinates of the box.

    Raises
    ------
    ProblemError
        The mesh is not a closed surface.
    """

    surface: Mesh
    _triangles: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_triangles", closed_triangles(self.surface))

    @property
    def dimension(self) -> int:
        return 3

    def covers(self, grid: MacGrid, pose: Pose) -> Tensor:
        points = pose.to_box(torch.tensor(self.surface.points, dtype=torch.float64)).numpy()
        x, y, z = ((np.arange(n) + 0.5) * grid.spacing for n in grid.shape)
        return torch.from_numpy(winding_numbers(points, self._triangles, (x, y, z)) > 0.5)
