"""Which Lagrange elements are served, and their shape functions at the points of a quadrature rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError

__all__ = ["LagrangeElement", "Tabulation", "lagrange_element"]

Array = NDArray[Any]


@dataclass(frozen=True)
class LagrangeElement:
    """One element of the family P1, P2 (Q1, Q2 on quadrilaterals and hexahedra).

    Attributes
    ----------
    scikit_fem
        Name of its class in scikit-fem.
    quadrature_degree
        Degree that the default rule integrates exactly: the mass matrix of an undistorted cell. Tensor-product rules
        count the degree along each axis.
    cell
        The mesh's cell type with the same nodes.
    """

    scikit_fem: str
    quadrature_degree: int
    cell: str


_ELEMENTS = {
    ("line", 1): LagrangeElement("ElementLineP1", 2, "line"),
    ("line", 2): LagrangeElement("ElementLineP2", 4, "line3"),
    ("triangle", 1): LagrangeElement("ElementTriP1", 2, "triangle"),
    ("triangle", 2): LagrangeElement("ElementTriP2", 4, "triangle6"),
    ("quad", 1): LagrangeElement("ElementQuad1", 3, "quad"),
    ("quad", 2): LagrangeElement("ElementQuad2", 5, "quad9"),
    ("tetra", 1): LagrangeElement("ElementTetP1", 2, "tetra"),
    ("tetra", 2): LagrangeElement("ElementTetP2", 4, "tetra10"),
    ("hexahedron", 1): LagrangeElement("ElementHex1", 3, "hexahedron"),
    ("hexahedron", 2): LagrangeElement("ElementHex2", 5, "hexahedron27"),
}


def lagrange_element(cell: str, degree: int) -> LagrangeElement:
    """The element of a degree on straight-sided cells of one type.

    Raises
    ------
    MeshError
        There is none; the message lists what there is.

    Examples
    --------
    >>> lagrange_element("tetra", 2).cell
    'tetra10'
    """
    if (cell, degree) not in _ELEMENTS:
        cells = ", ".join(dict.fromkeys(kind for kind, _ in _ELEMENTS))
        raise MeshError(
            f"degree {degree} on {cell!r} cells: expected degree 1 or 2 on straight-sided cells ({cells})."
            + _remedy(cell)
        )
    return _ELEMENTS[cell, degree]


def _remedy(cell: str) -> str:
    kind = cell_type(cell)
    if kind.linear == kind.name:
        return ""
    vertices = f"{{{kind.linear!r}: mesh.block({cell!r})[:, :{kind.vertices}]}}"
    return f" Take the vertices, Mesh(mesh.points, {vertices}), and drop the mid-nodes with meshes.repair_mesh."


@dataclass(frozen=True)
class Tabulation:
    """Shape functions of many cells (or facets) at the points of a quadrature rule, float64.

    Attributes
    ----------
    values
        ``(cells, q, local)`` values of the local shape functions.
    gradients
        ``(cells, q, dim, local)`` their gradients in space, 1/length.
    points
        ``(cells, q, dim)`` places of the quadrature points, length.
    weights
        ``(cells, q)`` weights that include the Jacobian: their sum is the volume (of facets: the area).
    """

    values: Array
    gradients: Array
    points: Array
    weights: Array

    @classmethod
    def from_basis(cls, basis: Any) -> Tabulation:
        """What a scikit-fem basis has computed, in the order that our sums run."""
        cells, q = basis.dx.shape
        dim = basis.mesh.dim()
        values = [np.broadcast_to(np.asarray(shape[0]), (cells, q)) for shape in basis.basis]
        gradients = [np.broadcast_to(shape[0].grad, (dim, cells, q)) for shape in basis.basis]
        points = np.broadcast_to(np.asarray(basis.global_coordinates()), (dim, cells, q))
        return cls(
            np.stack(values, axis=-1),
            np.stack(gradients, axis=-1).transpose(1, 2, 0, 3),
            points.transpose(1, 2, 0),
            np.array(basis.dx),
        )
