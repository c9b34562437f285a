"""What stands in the way of a plume: nothing, a ball, or a surface from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meshes import Mesh, boundary, read_mesh
from pde_benchmarks.smoke import Body, SurfaceSolid, default_obstacle
from sciml.errors import ConfigurationError, about

__all__ = ["fitted", "obstacle_bodies"]

_CENTRE = 0.5


def obstacle_bodies(name: str, dimension: int, size: float) -> tuple[Body, ...]:
    """The bodies that an obstacle's name stands for.

    Parameters
    ----------
    name
        "none", "ball", or a mesh file: a closed surface, or a volume mesh, of which the boundary is taken.
    dimension
        2 or 3; files are for 3.
    size
        Largest extent of a surface from a file, which is moved to the centre of the unit box.

    Raises
    ------
    ConfigurationError
        No such file, or a file in 2-D.
    MeshFileError, ProblemError
        The file cannot be read, or its surface is not closed.

    Examples
    --------
    >>> obstacle_bodies("none", 2, 0.3)
    ()
    """
    if name == "none":
        return ()
    if name == "ball":
        return (default_obstacle(dimension),)
    path = Path(name)
    if not path.is_file():
        raise ConfigurationError(f"--obstacle {name}: no such file; none, ball or a mesh file is expected.")
    if dimension != 3:
        raise ConfigurationError(
            f"--obstacle {name}: a surface is an obstacle in three dimensions: give --dimension 3."
        )
    if not 0 < size < 1:
        raise ConfigurationError(f"--obstacle-size {size:g}: a part of the box between 0 and 1 is expected.")
    mesh = read_mesh(path)
    with about(path):
        surface = boundary(mesh)[0] if mesh.dimension == 3 else mesh
        return (Body(SurfaceSolid(fitted(surface, size))),)


def fitted(surface: Mesh, size: float) -> Mesh:
    """The surface with its largest extent made `size`, in the centre of the unit box."""
    low, high = surface.points.min(axis=0), surface.points.max(axis=0)
    extent = float((high - low).max())
    if not (np.isfinite(extent) and extent > 0):
        raise ConfigurationError(f"a surface of extent {extent}: points that differ are expected.")
    return surface.with_points((surface.points.astype(np.float64) - (low + high) / 2) * (size / extent) + _CENTRE)
