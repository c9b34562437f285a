"""Volumes, centroids and normals of straight-sided cells, from their vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.mesh import Mesh

__all__ = ["area_vectors", "cell_centroids", "cell_volumes", "facet_normals", "signed_volumes"]

Array = NDArray[Any]

# Two-point Gauss on [0, 1]: exact for the products of bilinear functions below.
_GAUSS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)


def cell_volumes(mesh: Mesh) -> dict[str, Array]:
    """Length, area or volume of every cell of the largest dimension, ``{type: (k,)}``.

    Signed where the mesh fills its space (negative: the cell is inverted), positive for surfaces and curves.

    Examples
    --------
    >>> square = Mesh([[0, 0], [2, 0], [2, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 3, 2]]})
    >>> cell_volumes(square)["triangle"]
    array([ 1., -1.])
    """
    return {kind: signed_volumes(mesh.points, kind, nodes) for kind, nodes in mesh.blocks().items()}


def signed_volumes(points: Array, kind: str, nodes: Array) -> Array:
    """Volumes ``(k,)`` of cells ``(k, nodes)``: by the divergence theorem V = (1/d) ∮ x·n over the facets.

    Exact for bilinear and trilinear cells with straight edges, also with twisted faces.
    """
    linear = cell_type(cell_type(kind).linear)
    corners = points[nodes[:, : linear.vertices]].astype(np.float64)
    if linear.dimension == 0:
        return np.ones(len(nodes))
    if linear.dimension < points.shape[1]:
        return _measures(corners, linear.dimension)
    # From the first vertex, so that a mesh far from the origin loses no digits.
    corners = corners - corners[:, :1]
    if linear.dimension == 1:
        return corners[:, 1, 0]
    flux = sum(_flux(corners[:, list(local)]) for _, local in linear.facets)
    return np.asarray(flux / linear.dimension)


def cell_centroids(mesh: Mesh) -> dict[str, Array]:
    """Mean of the vertices of every cell of the largest dimension, ``{type: (k, dim)}``."""
    return {
        kind: mesh.points[nodes[:, : cell_type(kind).vertices]].mean(axis=1) for kind, nodes in mesh.blocks().items()
    }


def facet_normals(mesh: Mesh, facets: dict[str, Array]) -> dict[str, Array]:
    """Unit normals ``{facet type: (m, dim)}`` of facets given by node numbers, in their own orientation.

    In the plane the normal lies to the right of an edge, in space it follows the right-hand rule; facets taken from
    cells (`meshes.boundary_facets`) therefore have outward normals. Facets without extent get NaN.

    Raises
    ------
    MeshError
        The facets are not of one dimension less than the space.
    """
    normals = {}
    for kind, nodes in facets.items():
        if cell_type(kind).dimension != mesh.space_dimension - 1:
            raise MeshError(f"facets of type {kind!r} have no unit normal in {mesh.space_dimension}-D space.")
        vectors = area_vectors(mesh.points[nodes[:, : cell_type(kind).vertices]])
        with np.errstate(invalid="ignore", divide="ignore"):
            normals[kind] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normals


def area_vectors(corners: Array) -> Array:
    """∫ n over facets with corners ``(m, vertices, dim)``: edges in the plane, polygons in space; ``(m, dim)``."""
    if corners.shape[2] == 1:
        return np.ones((len(corners), 1))
    if corners.shape[2] == 2:
        edge = corners[:, 1] - corners[:, 0]
        return np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    spokes = corners[:, 1:] - corners[:, :1]
    return np.asarray(0.5 * np.cross(spokes[:, :-1], spokes[:, 1:]).sum(axis=1))


def _flux(corners: Array) -> Array:
    """∫ x·n over facets ``(m, vertices, dim)``."""
    if corners.shape[1] < 4:
        return np.einsum("md,md->m", corners.mean(axis=1), area_vectors(corners))
    total = np.zeros(len(corners))
    for x, along_u, along_v in _bilinear(corners):
        total += 0.25 * np.einsum("md,md->m", x, np.cross(along_u, along_v))
    return total


def _measures(corners: Array, dimension: int) -> Array:
    """Lengths of lines, areas of triangles and quadrilaterals in a space of more dimensions."""
    if dimension == 1:
        return np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    if corners.shape[1] == 3:
        return np.linalg.norm(area_vectors(corners), axis=1)
    return sum(
        (0.25 * np.linalg.norm(np.cross(along_u, along_v), axis=1) for _, along_u, along_v in _bilinear(corners)),
        start=np.zeros(len(corners)),
    )


def _bilinear(corners: Array) -> list[tuple[Array, Array, Array]]:
    """The patch through four corners at the 2 × 2 Gauss points: position and both tangents."""
    a, b, c, d = (corners[:, i] for i in range(4))
    return [
        (
            (1 - u) * (1 - v) * a + u * (1 - v) * b + u * v * c + (1 - u) * v * d,
            (1 - v) * (b - a) + v * (c - d),
            (1 - u) * (d - a) + u * (c - b),
        )
        for u in _GAUSS
        for v in _GAUSS
    ]
