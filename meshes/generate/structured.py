"""Structured grids of lines, quadrilaterals and hexahedra."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.generate.boundary_sets import with_boundary_sets
from meshes.mesh import Mesh

__all__ = ["structured_grid"]

Array = NDArray[Any]

_NAMES = (("left", "right"), ("bottom", "top"), ("back", "front"))


def structured_grid(x: ArrayLike, y: ArrayLike | None = None, z: ArrayLike | None = None) -> Mesh:
    """Lines, quadrilaterals or hexahedra on the product of rising coordinates; the first axis runs fastest.

    Facet and node sets "left", "right" (x), "bottom", "top" (y), "back", "front" (z) name the sides, with outward
    facets. `to_simplices` makes triangles and tetrahedra of it, `Mesh.with_points` bends it.

    Parameters
    ----------
    x, y, z
        Rising coordinates ``(n,)`` of the nodes along each axis, at least two.

    Raises
    ------
    MeshError
        Coordinates that do not rise, or z without y.

    Examples
    --------
    >>> structured_grid([0.0, 1.0, 3.0], [0.0, 1.0])
    Mesh: 6 points in 2-D, 2 quads
      node sets: left (2), right (2), bottom (3), top (3)
      facet sets: left (1), right (1), bottom (2), top (2)
    """
    if y is None and z is not None:
        raise MeshError("structured_grid got z without y: give the axes in order.")
    axes = [_rising(name, axis) for name, axis in zip("xyz", (x, y, z), strict=True) if axis is not None]
    counts = tuple(len(axis) for axis in axes)
    number = np.arange(int(np.prod(counts))).reshape(counts[::-1]).T  # number[i, j, k]
    points = np.stack([part.T.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
    kind = ("line", "quad", "hexahedron")[len(axes) - 1]
    sides: dict[str, dict[str, Array]] = {}
    for axis, names in enumerate(_NAMES[: len(axes)]):
        for end, name in zip((0, -1), names, strict=True):
            facet, nodes = _side(np.take(number, end, axis=axis))
            # Facets of the remaining axes in their order point along +x, −y, +z.
            inward = (end == 0) != (axis == 1)
            sides[name] = {facet: nodes[:, ::-1] if inward else nodes}
    return with_boundary_sets(Mesh(points, {kind: _cells(number)}), sides)


def _cells(number: Array) -> Array:
    """Cells ``(k, nodes)`` of a grid of node numbers, the first axis running fastest."""
    low = [slice(None, -1)] * number.ndim
    corners: list[tuple[int, ...]] = [(0,), (1,)] if number.ndim == 1 else [(0, 0), (1, 0), (1, 1), (0, 1)]
    if number.ndim == 3:
        corners = [(*corner, level) for level in (0, 1) for corner in corners]
    shifts = [tuple(slice(1, None) if up else cut for up, cut in zip(corner, low, strict=True)) for corner in corners]
    return np.stack([number[shift].T.ravel() for shift in shifts], axis=1)


def _side(number: Array) -> tuple[str, Array]:
    if number.ndim == 0:
        return "vertex", number.reshape(1, 1)
    return ("line", "quad")[number.ndim - 1], _cells(number)


def _rising(name: str, axis: ArrayLike) -> Array:
    values = np.asarray(axis, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise MeshError(f"axis {name} of shape {values.shape}: expected at least two rising coordinates.")
    return values
