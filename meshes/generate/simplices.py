"""Triangles from quadrilaterals, tetrahedra from hexahedra and wedges."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.mesh import Mesh
from meshes.topology import boundary_facets, facets, match_rows

__all__ = ["to_simplices"]

Array = NDArray[Any]


def to_simplices(mesh: Mesh) -> Mesh:
    """The same mesh in triangles (2 for a quadrilateral) or tetrahedra (6 for a hexahedron, 3 for a wedge).

    No nodes are added. Diagonals start at the smallest node of a face (Dompierre et al. 1999), so that neighbours
    agree; hexahedra are cut along the diagonal from their first to their seventh vertex (Kuhn 1960), which fits if
    all are numbered in one direction, as in structured and extruded grids. Cells, fields and sets are carried along.

    Raises
    ------
    MeshError
        Quadratic cells, pyramids, or hexahedra whose cuts do not fit.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> to_simplices(square).cells["triangle"].tolist()
    [[0, 1, 2], [0, 2, 3]]
    """
    pieces: dict[str, list[tuple[str, Array, int]]] = {}
    for kind, nodes in mesh.cells.items():
        target, split = _splitting(kind)
        children = split(nodes)  # (k, count, nodes)
        pieces.setdefault(target, []).append((kind, children, children.shape[1]))
    cells = {kind: np.concatenate([c.reshape(-1, c.shape[2]) for _, c, _ in found]) for kind, found in pieces.items()}
    bare = Mesh(mesh.points, cells, mesh.point_data, global_data=mesh.global_data, node_sets=mesh.node_sets)
    if "hexahedron" in mesh.blocks():
        _check_fit(mesh, bare)
    return Mesh(
        mesh.points,
        cells,
        mesh.point_data,
        {name: _carried_fields(blocks, pieces) for name, blocks in mesh.cell_data.items()},
        mesh.global_data,
        mesh.node_sets,
        {name: _carried_members(blocks, pieces) for name, blocks in mesh.cell_sets.items()},
        _carried_facets(mesh, bare),
    )


def _splitting(kind: str) -> tuple[str, Callable[[Array], Array]]:
    """The simplex a cell type is cut into, and the cut, from cells ``(k, nodes)`` to ``(k, count, simplex nodes)``."""
    if kind in ("vertex", "line", "triangle", "tetra"):
        return kind, lambda nodes: nodes[:, None]
    cuts = {"quad": ("triangle", _quad), "wedge": ("tetra", _wedge), "hexahedron": ("tetra", _hexahedron)}
    if kind not in cuts:
        raise MeshError(f"{kind!r} cells are not cut into simplices; expected {', '.join(cuts)} or simplices.")
    return cuts[kind]


def _quad(nodes: Array) -> Array:
    turned = np.take_along_axis(nodes, (nodes.argmin(axis=1)[:, None] + np.arange(4)) % 4, axis=1)
    return turned[:, [[0, 1, 2], [0, 2, 3]]]


# The numbering of a wedge that makes each of its vertices the first.
_WEDGE_TURNS = np.array(
    [
        *([0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3], [2, 0, 1, 5, 3, 4]),
        *([3, 5, 4, 0, 2, 1], [4, 3, 5, 1, 0, 2], [5, 4, 3, 2, 1, 0]),
    ]
)


def _wedge(nodes: Array) -> Array:
    turned = np.take_along_axis(nodes, _WEDGE_TURNS[nodes.argmin(axis=1)], axis=1)
    # Two faces are cut from the first vertex; the third, 1–2–5–4, has its own smallest.
    rising = np.isin(turned[:, [1, 2, 5, 4]].argmin(axis=1), (0, 2))
    one = turned[:, [[0, 1, 2, 5], [0, 1, 5, 4], [0, 4, 5, 3]]]
    other = turned[:, [[0, 1, 2, 4], [0, 4, 2, 5], [0, 4, 5, 3]]]
    return np.where(rising[:, None, None], one, other)


def _hexahedron(nodes: Array) -> Array:
    around = [(0, 0), (1, 0), (1, 1), (0, 1)]
    vertex = {(x, y, z): 4 * z + number for z in (0, 1) for number, (x, y) in enumerate(around)}
    table = []
    for order in permutations(range(3)):
        path = [np.zeros(3, dtype=int)]
        for axis in order:
            path.append(path[-1] + np.eye(3, dtype=int)[axis])
        corners = [vertex[x, y, z] for x, y, z in (place.tolist() for place in path)]
        odd = np.linalg.det(np.eye(3)[list(order)]) < 0
        table.append([corners[0], corners[2], corners[1], corners[3]] if odd else corners)
    return nodes[:, table]


def _check_fit(mesh: Mesh, split: Mesh) -> None:
    """Cuts that do not fit leave faces with one neighbour inside."""
    expected = sum(len(v) * (2 if kind == "quad" else 1) for kind, v in boundary_facets(mesh).items())
    found = sum(map(len, boundary_facets(split).values()))
    if found != expected:
        raise MeshError(
            f"the hexahedra are numbered in different directions: their cuts leave {found} boundary triangles instead "
            f"of {expected}; use a structured or an extruded grid."
        )


def _carried_fields(blocks: dict[str, Array], pieces: dict[str, list[tuple[str, Array, int]]]) -> dict[str, Array]:
    """Values of the cells, repeated for their parts; types of which a part has no values are left out."""
    return {
        target: np.concatenate([np.repeat(blocks[kind], count, axis=0) for kind, _, count in found])
        for target, found in pieces.items()
        if all(kind in blocks for kind, _, _ in found)
    }


def _carried_members(blocks: dict[str, Array], pieces: dict[str, list[tuple[str, Array, int]]]) -> dict[str, Array]:
    carried: dict[str, Array] = {}
    for target, found in pieces.items():
        start, members = 0, []
        for kind, children, count in found:
            if kind in blocks:
                members.append(start + (blocks[kind][:, None] * count + np.arange(count)).ravel())
            start += len(children) * count
        if members:
            carried[target] = np.concatenate(members)
    return carried


def _carried_facets(mesh: Mesh, split: Mesh) -> dict[str, dict[str, Array]]:
    """Facet sets with quadrilaterals replaced by those triangles that are faces of the parts."""
    known = facets(split).get("triangle")
    result: dict[str, dict[str, Array]] = {}
    for name, blocks in mesh.facet_sets.items():
        parts: dict[str, list[Array]] = {}
        for kind, nodes in blocks.items():
            if kind != "quad" or known is None:
                parts.setdefault(kind, []).append(nodes)
                continue
            either = nodes[:, [[0, 1, 2], [0, 2, 3], [0, 1, 3], [1, 2, 3]]].reshape(-1, 3)
            parts.setdefault("triangle", []).append(either[match_rows(known.vertices, np.sort(either, axis=1)) >= 0])
        result[name] = {kind: np.concatenate(found) for kind, found in parts.items()}
    return result
