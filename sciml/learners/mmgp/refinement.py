"""A finer common mesh: the finer it is, the less the way to it and back loses."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.mesh import Mesh
from sciml.errors import LearnerError
from sciml.learners.mmgp.morphed import Morphed
from sciml.learners.mmgp.rims import Rim

__all__ = ["refined"]

Array = NDArray[Any]

#: Cells in which a simplex is divided; its edges' midpoints are numbered on from its vertices, in the order of
#: `combinations`. The tetrahedron's inner octahedron is cut along the midpoints of the edges 02 and 13 (Bey 1995).
_DIVISIONS: dict[str, Array] = {
    "triangle": np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2], [3, 5, 4]]),
    "tetra": np.array(
        [
            [0, 4, 5, 6],
            [4, 1, 7, 8],
            [5, 7, 2, 9],
            [6, 8, 9, 3],
            [4, 5, 6, 8],
            [4, 5, 7, 8],
            [5, 6, 8, 9],
            [5, 7, 8, 9],
        ]
    ),
}


def refined(morphed: Morphed, times: int) -> Morphed:
    """Every edge halved so many times: four times as many triangles, eight times as many tetrahedra, each time.

    Boundary nodes are halfway along the reference's curve; sets are left out.

    Raises
    ------
    LearnerError
        Cells that are neither triangles nor tetrahedra.

    Examples
    --------
    >>> one = Morphed(Mesh([[0.0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> refined(one, 2).mesh
    Mesh: 15 points in 2-D, 16 triangles
    """
    for _ in range(times):
        morphed = _halved(morphed)
    return morphed


def _halved(morphed: Morphed) -> Morphed:
    mesh = morphed.mesh
    blocks = mesh.blocks()
    if len(blocks) != 1 or next(iter(blocks)) not in _DIVISIONS:
        raise LearnerError(
            f"a common mesh of {', '.join(blocks)} is not refined: expected triangles or tetrahedra; set "
            "refinements=0, or cut the cells with meshes.to_simplices."
        )
    ((kind, cells),) = blocks.items()
    pairs = np.sort(np.concatenate([cells[:, list(pair)] for pair in combinations(range(cells.shape[1]), 2)]), axis=1)
    edges, number = np.unique(pairs, axis=0, return_inverse=True)
    middles = len(mesh.points) + number.reshape(-1, len(cells)).T
    points = np.concatenate([mesh.points, mesh.points[edges].mean(axis=1)])
    corners = np.concatenate([cells, middles], axis=1)
    finer = _oriented(points, kind, corners[:, _DIVISIONS[kind]].reshape(-1, cells.shape[1]))
    rims = tuple(_halved_rim(rim, edges, len(mesh.points)) for rim in morphed.rims)
    return Morphed(Mesh(points, {kind: finer}), rims)


def _halved_rim(rim: Rim, edges: Array, first: int) -> Rim:
    """The rim with the middle of each of its edges."""
    ahead = np.roll(rim.nodes, -1)
    pairs = np.sort(np.stack([rim.nodes, ahead], axis=1), axis=1)
    width = int(edges.max()) + 1
    between = first + np.searchsorted(edges[:, 0] * width + edges[:, 1], pairs[:, 0] * width + pairs[:, 1])
    following = np.append(rim.places[1:], rim.places[0] + rim.period)
    places = np.stack([rim.places, (rim.places + following) / 2], axis=1).ravel()
    return Rim(np.stack([rim.nodes, between], axis=1).ravel(), places, rim.period)


def _oriented(points: Array, kind: str, cells: Array) -> Array:
    """Tetrahedra of the octahedron come in both orientations: the negative ones are turned."""
    if kind != "tetra":
        return cells
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    turned = np.linalg.det(edges) < 0
    return np.where(turned[:, None], cells[:, [0, 2, 1, 3]], cells)
