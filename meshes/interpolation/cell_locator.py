"""Which cell holds a point, and where in it: built once for a mesh, asked for many points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.geometry import cell_centroids
from meshes.interpolation.box_tree import BoxTree, box_tree
from meshes.interpolation.shape_functions import reference_nodes, shape_functions
from meshes.mesh import Mesh
from meshes.topology import boundary_facets, facets

__all__ = ["CellLocator", "Location"]

Array = NDArray[Any]

#: A point belongs to a cell if its reference coordinates leave it by no more than this.
TOLERANCE = 1e-10
#: A point lies on a surface if it is no further away than this share of the mesh's diagonal.
THICKNESS = 1e-8
_CURVED = 1e-7


@dataclass(frozen=True)
class Location:
    """Where points are in a mesh.

    Attributes
    ----------
    cell
        ``(m,)`` cell of each point, counted through the blocks of the largest dimension in their order; −1: none.
    coordinates
        ``(m, 3)`` coordinates in the reference cell (`reference_nodes`); those beyond its dimension are zero.
    distance
        ``(m,)`` distance between the point and the place that cell and coordinates mean.
    """

    cell: Array
    coordinates: Array
    distance: Array

    @property
    def outside(self) -> Array:
        """Numbers of the points that are in no cell."""
        return np.flatnonzero(self.cell < 0)


class CellLocator:
    """Finds the cells of a mesh that hold given points.

    A tree of boxes over the cells is descended for each point by compiled code, without assumption on grading,
    convexity or connectedness; O(log cells) a point. Cells are straight-sided; quadrilaterals, hexahedra and wedges
    are inverted by Newton's method. On surfaces and curves the nearest point counts, if it is near enough to be equal.

    Parameters
    ----------
    mesh
        Cells of the largest dimension are searched; several types may stand side by side.

    Raises
    ------
    MeshError
        No cells, pyramids, points that are not finite, or quadratic cells with curved edges.

    Examples
    --------
    >>> mesh = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> CellLocator(mesh).locate([[0.9, 0.2], [0.2, 0.9], [2.0, 2.0]]).cell
    array([ 0,  1, -1])
    """

    def __init__(self, mesh: Mesh) -> None:
        from meshes.interpolation.location_loops import CODES

        blocks = mesh.blocks()
        if mesh.dimension == 0:
            raise MeshError("the mesh has no cells of dimension 1 to 3: there is nothing to interpolate in.")
        for kind, nodes in blocks.items():
            reference_nodes(kind)
            _check_straight(mesh, kind, nodes)
        self.mesh = mesh
        self.kinds = tuple(blocks)
        #: Cells ``first[i]`` to ``first[i + 1]`` belong to block i.
        self.first = np.cumsum([0, *(len(nodes) for nodes in blocks.values())])
        self.points = np.ascontiguousarray(mesh.points, dtype=np.float64)
        if not np.isfinite(self.points).all():
            raise MeshError("points of the mesh with NaN or infinity: see check_mesh, and correct them.")
        width = max(cell_type(kind).vertices for kind in blocks)
        #: Vertices ``(k, width)`` of all cells, padded by −1.
        self.vertices = np.full((self.first[-1], width), -1)
        self._codes = np.zeros(self.first[-1], dtype=np.int64)
        for kind, (begin, end) in zip(self.kinds, pairwise(self.first), strict=True):
            self.vertices[begin:end, : cell_type(kind).vertices] = blocks[kind][:, : cell_type(kind).vertices]
            self._codes[begin:end] = CODES[cell_type(kind).linear]

    def locate(self, targets: ArrayLike) -> Location:
        """The cells that hold the points ``(m, dim)``; −1 and an infinite distance where there is none.

        Raises
        ------
        MeshError
            Targets of another dimension, or not finite.
        """
        from meshes.interpolation.location_loops import containing_cells

        p = self._checked(targets)
        if self.mesh.dimension < self.mesh.space_dimension:
            near = self.nearest(p)
            away = near.distance > THICKNESS * np.linalg.norm(np.ptp(self.points, axis=0))
            return Location(np.where(away, -1, near.cell), near.coordinates, np.where(away, np.inf, near.distance))
        tree, cells, codes = self._tree
        cell, coordinates = containing_cells(self.points, cells, codes, tree, p, TOLERANCE)
        return Location(cell, coordinates, np.where(cell < 0, np.inf, 0.0))

    def nearest(self, targets: ArrayLike) -> Location:
        """For points ``(m, dim)`` in no cell, the nearest place of the mesh: on its boundary, or on the surface itself.

        Quadrilateral facets are taken as two triangles. The coordinates lie in the reference cell.
        """
        from meshes.interpolation.nearest_loops import nearest_simplices

        p = self._checked(targets)
        simplices, parents, tree = self._shell
        simplex, place = nearest_simplices(self.points, simplices, tree, p)
        cell = parents[simplex]
        coordinates = self.coordinates_in(cell, place)
        for kind, chosen in self.by_kind(cell):
            coordinates[chosen] = _clipped(kind, coordinates[chosen])
        return Location(cell, coordinates, np.linalg.norm(place - p, axis=1))

    def coordinates_in(self, cell: Array, targets: Array) -> Array:
        """Reference coordinates ``(m, 3)`` of points in given cells ``(m,)``, continued beyond the cells."""
        from meshes.interpolation.location_loops import reference_coordinates

        return reference_coordinates(self.points, self.vertices[cell], self._codes[cell], targets)

    def by_kind(self, cell: Array) -> list[tuple[str, Array]]:
        """The cell types met by cells ``(m,)``, and which of the m are of each."""
        if len(self.kinds) == 1:
            return [(self.kinds[0], np.flatnonzero(cell >= 0))]
        block = np.searchsorted(self.first, cell, side="right") - 1
        return [(kind, np.flatnonzero(block == number)) for number, kind in enumerate(self.kinds)]

    @cached_property
    def _tree(self) -> tuple[BoxTree, Array, Array]:
        """The tree over all cells, and their vertices and codes in its order, side by side in memory."""
        from meshes.interpolation.location_loops import cell_boxes

        # A point that leaves a cell by the tolerance leaves its box by a few times that share of its size.
        tree = box_tree(*cell_boxes(self.points, self.vertices, 10 * TOLERANCE))
        return tree, self.vertices[tree.order], self._codes[tree.order]

    @cached_property
    def _shell(self) -> tuple[Array, Array, BoxTree]:
        """Simplices on which the nearest point of the mesh must lie, their cells, and a tree over them."""
        from meshes.interpolation.location_loops import cell_boxes

        if self.mesh.dimension < self.mesh.space_dimension:
            pieces, parents = _simplices(self.vertices, np.arange(len(self.vertices)))
        else:
            pieces, parents = _boundary_simplices(self.mesh)
        return pieces, parents, box_tree(*cell_boxes(self.points, pieces, 0.0))

    def _checked(self, targets: ArrayLike) -> Array:
        p = np.ascontiguousarray(targets, dtype=np.float64)
        if p.ndim != 2 or p.shape[1] != self.mesh.space_dimension:
            raise MeshError(f"target points {p.shape}: expected (m, {self.mesh.space_dimension}) as in the mesh.")
        lost = np.flatnonzero(~np.isfinite(p).all(axis=1))
        if len(lost):
            raise MeshError(f"{len(lost)} of {len(p)} target points with NaN or infinity, the first is {lost[0]}.")
        return p


def _simplices(cells: Array, parents: Array) -> tuple[Array, Array]:
    """Vertices, segments or triangles of cells of dimension 0 to 2 padded by −1; quadrilaterals become two."""
    width = min(3, int((cells >= 0).sum(axis=1).max(initial=1)))
    fourth = np.flatnonzero(cells[:, 3] >= 0) if cells.shape[1] > 3 else np.zeros(0, dtype=np.int64)
    pieces = np.concatenate([cells[:, :width], cells[fourth][:, [0, 2, 3]]]) if len(fourth) else cells[:, :width]
    return np.ascontiguousarray(pieces), np.concatenate([parents, parents[fourth]])


def _boundary_simplices(mesh: Mesh) -> tuple[Array, Array]:
    if not boundary_facets(mesh):
        raise MeshError("the mesh has no boundary: a point outside of it has no nearest cell.")
    pieces, parents = [], []
    for found in facets(mesh).values():
        alone = found.count[found.group] == 1
        local = np.full((int(alone.sum()), 4), -1)
        corners = _corners_in_order(mesh, found.cell[alone], found.local[alone])
        local[:, : corners.shape[1]] = corners
        piece, parent = _simplices(local, found.cell[alone])
        pieces.append(piece)
        parents.append(parent)
    return np.concatenate(pieces), np.concatenate(parents)


def _corners_in_order(mesh: Mesh, cell: Array, local: Array) -> Array:
    """Vertices ``(m, vertices)`` of facets given by cell and local number, around the facet."""
    rows: dict[int, Array] = {}
    start = 0
    for kind, nodes in mesh.blocks().items():
        for number, (own, order) in enumerate(cell_type(kind).facets):
            chosen = np.flatnonzero((cell >= start) & (cell < start + len(nodes)) & (local == number))
            if len(chosen):
                rows[len(rows)] = np.column_stack(
                    [chosen, nodes[cell[chosen] - start][:, list(order[: cell_type(own).vertices])]]
                )
        start += len(nodes)
    table = np.concatenate(list(rows.values()))
    return table[np.argsort(table[:, 0]), 1:]


def _clipped(kind: str, xi: Array) -> Array:
    """The coordinates, moved into the reference cell where rounding has left them outside."""
    xi = np.clip(xi, 0.0, 1.0)
    linear = cell_type(kind).linear
    axes = {"triangle": [0, 1], "wedge": [0, 1], "tetra": [0, 1, 2]}.get(linear)
    if axes is not None:
        xi[:, axes] /= np.maximum(xi[:, axes].sum(axis=1, keepdims=True), 1.0)
    return xi


def _check_straight(mesh: Mesh, kind: str, nodes: Array) -> None:
    """Raise if a node of a quadratic cell is not where the straight-sided cell has it."""
    linear = cell_type(kind).linear
    if kind == linear:
        return
    corners = mesh.points[nodes[:, : cell_type(kind).vertices]].astype(np.float64)
    straight = np.einsum("nv,kvd->knd", shape_functions(linear, reference_nodes(kind)), corners)
    gap = np.linalg.norm(mesh.points[nodes] - straight, axis=2).max(axis=1)
    size = np.linalg.norm(np.ptp(corners, axis=1), axis=1)
    curved = np.flatnonzero(gap > _CURVED * size)
    if len(curved):
        where = np.array2string(cell_centroids(mesh)[kind][curved[0]], precision=3)
        raise MeshError(
            f"{len(curved)} of {len(nodes)} {kind} cells are curved, the first is {curved[0]} at {where}: points are "
            "located in straight-sided cells; move the nodes between vertices onto their chords."
        )
