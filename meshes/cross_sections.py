"""Plane cross-sections of a mesh: how much of the part a plane cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.geometry import cell_volumes
from meshes.mesh import Mesh

__all__ = ["cross_sections", "smallest_section_share"]

Array = NDArray[Any]

_SIMPLICES = {2: ("triangle", "triangle6"), 3: ("tetra", "tetra10")}
#: Planes between the ends of a part, and what share of its length is left out at each end, where it may taper off.
_LEVELS, _ENDS = 100, 0.05


def cross_sections(mesh: Mesh, axis: int, levels: ArrayLike) -> Array:
    """Length (in the plane) or area (in space) of the sections of a mesh by the planes x[axis] = level.

    The section of a simplex is its volume times the B-spline whose knots are the coordinates of its vertices (H. B.
    Curry & I. J. Schoenberg, 1966, "On Pólya frequency functions IV"), so that nothing is cut.

    Parameters
    ----------
    mesh
        Triangles in the plane or tetrahedra in space.
    axis
        The normal of the planes.
    levels
        Shape ``(m,)``.

    Returns
    -------
    Array
        Shape ``(m,)``, float64.

    Raises
    ------
    MeshError
        Other cells, or an axis that the mesh does not have.

    Examples
    --------
    >>> triangle = Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]})
    >>> cross_sections(triangle, 1, [0.25, 0.5]).tolist()
    [1.5, 1.0]
    """
    dimension = mesh.space_dimension
    if not 0 <= axis < dimension:
        raise MeshError(f"axis {axis}: expected 0 to {dimension - 1}.")
    volumes = cell_volumes(mesh)
    foreign = sorted(set(volumes) - set(_SIMPLICES.get(dimension, ())))
    if foreign:
        raise MeshError(f"cross-sections of {', '.join(foreign)}: expected triangles in the plane or tetrahedra.")
    found = np.zeros(np.size(levels))
    for kind, nodes in mesh.blocks().items():
        knots = np.sort(mesh.points[nodes[:, : dimension + 1], axis].astype(np.float64), axis=1)
        sizes = np.abs(volumes[kind])
        found += [float(sizes @ _spline(knots, level)) for level in np.ravel(levels)]
    return found


def smallest_section_share(mesh: Mesh, axis: int) -> float:
    """The smallest cross-section normal to an axis over the largest one, away from the two ends.

    The load on a part over this share of its section is the mean stress in the ligament that carries it.

    Examples
    --------
    >>> square = Mesh([[0, 0], [2, 0], [2, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> round(smallest_section_share(square, 0), 12)
    1.0
    """
    heights = mesh.points[:, axis]
    low, high = float(heights.min()), float(heights.max())
    margin = _ENDS * (high - low)
    sections = cross_sections(mesh, axis, np.linspace(low + margin, high - margin, _LEVELS))
    return float(sections.min() / sections.max())


def _spline(knots: Array, level: float) -> Array:
    """The B-splines of integral one with the sorted knots ``(k, order + 1)`` at one level, ``(k,)``."""
    order = knots.shape[1] - 1
    inside = (knots[:, :-1] <= level) & (level < knots[:, 1:])
    values = _over(inside, knots[:, 1:] - knots[:, :-1])
    for degree in range(2, order + 1):
        first, last = knots[:, :-degree], knots[:, degree:]
        blend = (level - first) * values[:, :-1] + (last - level) * values[:, 1:]
        values = _over(degree / (degree - 1) * blend, last - first)
    return values[:, 0]


def _over(numerator: Array, width: Array) -> Array:
    """The quotient, zero where the width is: a cell that is parallel to the planes fills none of them."""
    return np.divide(numerator, width, out=np.zeros(width.shape), where=width > 0)
