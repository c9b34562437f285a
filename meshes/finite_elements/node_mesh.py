"""A mesh with the nodes of a function space as its points: for files, pictures and other programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.finite_elements.function_space import FunctionSpace
from meshes.mesh import Mesh

__all__ = ["node_mesh"]

Array = NDArray[Any]


def node_mesh(space: FunctionSpace) -> Mesh:
    """The mesh whose points are the nodes: itself for degree 1, quadratic cells for degree 2.

    A solution becomes a point field by ``replace(node_mesh(space), point_data={"u": u.numpy()})``. Cell data and all
    sets come along (facet sets as straight facets); point data do not, as there are more points.

    Examples
    --------
    >>> node_mesh(FunctionSpace(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}), degree=2))
    Mesh: 6 points in 2-D, 1 triangle6
    """
    if space.degree == 1:
        return space.mesh
    kind, mesh = space.element.cell, space.mesh
    own = {space.cell: kind}
    return replace(
        mesh,
        points=space.nodes,
        cells={own.get(name, name): nodes for name, nodes in mesh.cells.items()}
        | {kind: space.cell_nodes[:, _order(space)]},
        point_data={},
        cell_data={n: {own.get(k, k): v for k, v in blocks.items()} for n, blocks in mesh.cell_data.items()},
        cell_sets={n: {own.get(k, k): v for k, v in blocks.items()} for n, blocks in mesh.cell_sets.items()},
    )


def _order(space: FunctionSpace) -> Array:
    """For every node of the quadratic cell type the number of the shape function that is 1 there.

    Both put their nodes at means of vertices: compared in the first cell, relative to its size.
    """
    corners = space.mesh.points[space.mesh.cells[space.cell][0]].astype(np.float64)
    wanted = np.stack([corners[list(ends)].mean(axis=0) for ends in _ends(space.element.cell)])
    there = space.nodes[space.cell_nodes[0]]
    return np.linalg.norm(wanted[:, None] - there, axis=2).argmin(axis=1)


def _ends(kind: str) -> list[tuple[int, ...]]:
    """For every node of a quadratic cell type the vertices whose mean it is."""
    quadratic = cell_type(kind)
    ends: dict[int, tuple[int, ...]] = {node: (node,) for node in range(quadratic.vertices)}
    for own, local in quadratic.facets:
        facet = cell_type(own)
        for node, vertices in _facet_ends(facet.name, facet.vertices, facet.nodes).items():
            ends[local[node]] = tuple(local[v] for v in vertices)
    # What no facet holds is the centre.
    return [ends.get(node, tuple(range(quadratic.vertices))) for node in range(quadratic.nodes)]


def _facet_ends(kind: str, vertices: int, nodes: int) -> dict[int, tuple[int, ...]]:
    if nodes == vertices:
        return {}
    if kind == "line3":
        return {2: (0, 1)}
    edges = {vertices + i: (i, (i + 1) % vertices) for i in range(vertices)}
    return edges | ({nodes - 1: tuple(range(vertices))} if nodes > 2 * vertices else {})
