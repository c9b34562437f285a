"""Quadrature on the cells of a mesh."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.interpolation.cell_locator import CellLocator, Location
from meshes.interpolation.shape_functions import shape_functions, shape_gradients

__all__ = ["cell_quadrature", "reference_quadrature"]

Array = NDArray[Any]

_DOMAINS = {"line": "RefLine", "triangle": "RefTri", "quad": "RefQuad", "tetra": "RefTet", "hexahedron": "RefHex"}


def reference_quadrature(kind: str, degree: int) -> tuple[Array, Array]:
    """Points ``(q, d)`` and weights ``(q,)`` on the reference cell, exact for polynomials of this degree.

    The rules are scikit-fem's; on wedges the product of those of triangle and line.

    Raises
    ------
    MeshError
        A degree below one, or beyond the tables (19 on triangles, for example).

    Examples
    --------
    >>> points, weights = reference_quadrature("wedge", 4)
    >>> round(float(weights @ points[:, 0] ** 2 * 2), 12) == round(1 / 6, 12)
    True
    """
    import skfem.quadrature
    import skfem.refdom

    if degree < 1:
        raise MeshError(f"quadrature of degree {degree}: expected at least 1.")
    linear = cell_type(kind).linear
    if linear == "wedge":
        (flat, flat_weights), (upright, upright_weights) = (
            reference_quadrature(k, degree) for k in ("triangle", "line")
        )
        points = np.column_stack([np.repeat(flat, len(upright), axis=0), np.tile(upright[:, 0], len(flat))])
        return points, np.outer(flat_weights, upright_weights).ravel()
    try:
        points, weights = skfem.quadrature.get_quadrature(getattr(skfem.refdom, _DOMAINS[linear]), degree)
    except NotImplementedError as error:
        raise MeshError(f"quadrature of degree {degree} on {linear} cells: not tabulated, try a lower one.") from error
    return np.ascontiguousarray(points.T), np.asarray(weights)


def cell_quadrature(locator: CellLocator, degree: int) -> tuple[Location, Array, Array]:
    """Places, points ``(m, dim)`` and weights ``(m,)`` of a rule on every cell; the weights sum to the volume."""
    cells, coordinates, points, weights = [], [], [], []
    for kind, begin in zip(locator.kinds, locator.first, strict=False):
        linear = cell_type(kind).linear
        xi, w = reference_quadrature(kind, degree)
        corners = locator.points[locator.mesh.cells[kind][:, : cell_type(kind).vertices]]
        tangents = np.einsum("qvb,kvd->kqdb", shape_gradients(linear, xi), corners)
        gram = np.einsum("kqdb,kqdc->kqbc", tangents, tangents)
        k, q = len(corners), len(w)
        cells.append(np.repeat(np.arange(begin, begin + k), q))
        coordinates.append(np.pad(np.tile(xi, (k, 1)), ((0, 0), (0, 3 - xi.shape[1]))))
        points.append(np.einsum("qv,kvd->kqd", shape_functions(linear, xi), corners).reshape(k * q, -1))
        weights.append((np.sqrt(np.linalg.det(gram)) * w).ravel())
    location = Location(np.concatenate(cells), np.concatenate(coordinates), np.zeros(sum(map(len, cells))))
    return location, np.concatenate(points), np.concatenate(weights)
