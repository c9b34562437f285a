"""How good cells are, what is wrong with a mesh, and the repair of what can be repaired."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.geometry import area_vectors, cell_centroids, signed_volumes
from meshes.mesh import Mesh
from meshes.topology import facets, restrict, subset

__all__ = ["MeshReport", "check_mesh", "duplicate_points", "repair_mesh", "scaled_jacobians"]

Array = NDArray[Any]

#: Cells whose volume is below this share of their longest edge to the power of their dimension have collapsed.
DEGENERATE = 1e-10
#: Points closer than this share of the mesh's diagonal are one point.
COINCIDENT = 1e-10
_SHOWN = 5


@dataclass(frozen=True)
class MeshReport:
    """What `check_mesh` found; every field lists the culprits, so that an empty report is a sound mesh.

    Attributes
    ----------
    non_finite_points
        Points with NaN or infinity.
    inverted, degenerate, folded
        Cells by type: of negative volume; of none (or with a repeated vertex); quadrilaterals and hexahedra of positive
        volume that are turned over at a vertex, where no map from the reference cell is one to one.
    duplicate_points
        Points that coincide with one of smaller number.
    orphan_points
        Points that no cell uses.
    non_manifold_facets
        Vertices ``(m, vertices)`` of facets shared by more than two cells, by linear facet type.
    duplicate_cells
        Cells with the same vertices as an earlier one, by type.
    centroids
        Where inverted, degenerate and folded cells are, by type ``(m, dim)``, for messages and plots.
    """

    non_finite_points: Array
    inverted: dict[str, Array]
    degenerate: dict[str, Array]
    folded: dict[str, Array]
    duplicate_points: Array
    orphan_points: Array
    non_manifold_facets: dict[str, Array]
    duplicate_cells: dict[str, Array]
    centroids: dict[str, Array]

    @property
    def is_sound(self) -> bool:
        """Nothing was found."""
        return not self.findings()

    def findings(self) -> list[str]:
        """One sentence for each kind of defect, with the first culprits."""
        sentences = []
        for words, members in (
            ("points with NaN or infinity", self.non_finite_points),
            ("points on top of another", self.duplicate_points),
            ("points that no cell uses", self.orphan_points),
        ):
            if len(members):
                sentences.append(f"{len(members)} {words}: {_first(members)}.")
        for words, blocks in (
            ("inverted", self.inverted),
            ("degenerate", self.degenerate),
            ("folded", self.folded),
            ("duplicate", self.duplicate_cells),
        ):
            for kind, members in blocks.items():
                where = "" if words == "duplicate" else f", at {_places(self.centroids[kind], members)}"
                sentences.append(f"{len(members)} {words} {kind} cells: {_first(members)}{where}.")
        for kind, vertices in self.non_manifold_facets.items():
            shown = "; ".join("–".join(map(str, row)) for row in vertices[:_SHOWN])
            sentences.append(f"{len(vertices)} {kind} facets shared by more than two cells: {shown}.")
        return sentences

    def __str__(self) -> str:
        return "\n".join(self.findings()) or "The mesh is sound."


def check_mesh(mesh: Mesh) -> MeshReport:
    """Look for everything that a solver or a learner would stumble over.

    Examples
    --------
    >>> print(check_mesh(Mesh([[0, 0], [1, 0], [0, 1], [9, 9]], {"triangle": [[0, 2, 1]]})))
    1 points that no cell uses: 3.
    1 inverted triangle cells: 0, at (0.333, 0.333).
    """
    finite = np.isfinite(mesh.points).all(axis=1)
    used = np.zeros(len(mesh.points), dtype=bool)
    for nodes in mesh.cells.values():
        used[nodes] = True
    inverted, degenerate, folded, repeated = {}, {}, {}, {}
    for kind, nodes in mesh.blocks().items():
        flat = _collapsed(mesh.points, kind, nodes)
        volume = signed_volumes(mesh.points, kind, nodes)
        inverted[kind] = np.flatnonzero((volume < 0) & ~flat)
        degenerate[kind] = np.flatnonzero(flat)
        if cell_type(kind).linear in ("quad", "hexahedron"):
            folded[kind] = np.flatnonzero((_scaled_jacobian(mesh, kind, nodes) <= 0) & (volume > 0) & ~flat)
        corners = np.sort(nodes[:, : cell_type(kind).vertices], axis=1)
        _, first = np.unique(corners, axis=0, return_index=True)
        repeated[kind] = np.setdiff1d(np.arange(len(nodes)), first)
    crowded = {kind: found.vertices[found.count > 2] for kind, found in facets(mesh).items()}
    return MeshReport(
        np.flatnonzero(~finite),
        _some(inverted),
        _some(degenerate),
        _some(folded),
        np.flatnonzero(duplicate_points(mesh) != np.arange(len(mesh.points))),
        np.flatnonzero(~used),
        _some(crowded),
        _some(repeated),
        cell_centroids(mesh),
    )


def repair_mesh(mesh: Mesh) -> tuple[Mesh, MeshReport]:
    """Join coincident points, drop collapsed and repeated cells and unused points, turn inverted cells around.

    Returns the repaired mesh and what is still wrong with it. Fields and sets follow; of points that are joined, the
    one of smallest number keeps its values.

    Raises
    ------
    MeshError
        Points that are not finite: nothing can be guessed for them.
    """
    lost = np.flatnonzero(~np.isfinite(mesh.points).all(axis=1))
    if len(lost):
        raise MeshError(f"{len(lost)} points with NaN or infinity ({_first(lost)}): correct the file they come from.")
    keeper = duplicate_points(mesh)
    joined = replace(
        mesh,
        cells={kind: keeper[nodes] for kind, nodes in mesh.cells.items()},
        node_sets={name: np.unique(keeper[ids]) for name, ids in mesh.node_sets.items()},
        facet_sets={n: {k: keeper[v] for k, v in parts.items()} for n, parts in mesh.facet_sets.items()},
    )
    report = check_mesh(joined)
    chosen = {}
    for kind, nodes in joined.cells.items():
        keep = np.ones(len(nodes), dtype=bool)
        for culprits in (report.degenerate, report.duplicate_cells):
            keep[culprits.get(kind, np.zeros(0, dtype=np.int64))] = False
        chosen[kind] = keep
    part, _ = subset(joined, {kind: keep for kind, keep in chosen.items() if len(keep)})
    turned = {kind: _turned(part, kind) for kind in part.cells}
    repaired, _ = restrict(replace(part, cells=turned))
    return repaired, check_mesh(repaired)


def duplicate_points(mesh: Mesh) -> Array:
    """For every point the smallest number of a point that coincides with it, ``(n,)``; its own if there is none."""
    from scipy.spatial import cKDTree

    number = np.arange(len(mesh.points))
    finite = np.flatnonzero(np.isfinite(mesh.points).all(axis=1))
    if len(finite) < 2:
        return number
    points = mesh.points[finite].astype(np.float64)
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    pairs = cKDTree(points).query_pairs(COINCIDENT * diagonal, output_type="ndarray")
    if len(pairs):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
        _, label = connected_components(graph, directed=False)
        smallest = np.full(int(label.max()) + 1, len(mesh.points))
        np.minimum.at(smallest, label, finite)
        number[finite] = smallest[label]
    return number


def scaled_jacobians(mesh: Mesh) -> dict[str, Array]:
    """Quality of every cell, ``{type: (k,)}``: 1 for equilateral or right-angled cells, 0 or less for broken ones.

    For each vertex the volume spanned by the edges that meet there, over the product of their lengths; the smallest
    over the vertices, scaled so that the regular cell has 1 (Knupp 2000).
    """
    return {kind: _scaled_jacobian(mesh, kind, nodes) for kind, nodes in mesh.blocks().items()}


def _scaled_jacobian(mesh: Mesh, kind: str, nodes: Array) -> Array:
    linear = cell_type(kind).linear
    if linear not in _CORNERS:
        raise MeshError(f"quality of {kind!r} cells is not defined here; expected one of {', '.join(_CORNERS)}.")
    corners, ideal = _CORNERS[linear]
    points = mesh.points[nodes].astype(np.float64)
    worst = np.full(len(nodes), np.inf)
    for vertex, neighbours in corners:
        edges = points[:, list(neighbours)] - points[:, [vertex]]
        lengths = np.linalg.norm(edges, axis=2).prod(axis=1)
        if edges.shape[1] == edges.shape[2]:
            spanned = np.linalg.det(edges)
        else:  # a surface in space: its cells have no sign
            spanned = 2 * np.linalg.norm(area_vectors(points[:, [vertex, *neighbours]]), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            worst = np.minimum(worst, np.where(lengths > 0, spanned / lengths, 0.0))
    return worst / ideal


# Vertices with the neighbours along their edges, right-handed, and the volume spanned by unit edges of a regular cell.
_CORNERS: dict[str, tuple[tuple[tuple[int, tuple[int, ...]], ...], float]] = {
    "triangle": (((0, (1, 2)), (1, (2, 0)), (2, (0, 1))), float(np.sqrt(3) / 2)),
    "quad": (((0, (1, 3)), (1, (2, 0)), (2, (3, 1)), (3, (0, 2))), 1.0),
    "tetra": (((0, (1, 2, 3)), (1, (2, 0, 3)), (2, (0, 1, 3)), (3, (0, 2, 1))), float(np.sqrt(0.5))),
    "hexahedron": (
        tuple(
            [(i, ((i + 1) % 4, (i + 3) % 4, i + 4)) for i in range(4)]
            + [(i + 4, ((i + 3) % 4 + 4, (i + 1) % 4 + 4, i)) for i in range(4)]
        ),
        1.0,
    ),
}


def _collapsed(points: Array, kind: str, nodes: Array) -> Array:
    corners = points[nodes[:, : cell_type(kind).vertices]].astype(np.float64)
    reach = np.linalg.norm(np.ptp(corners, axis=1), axis=1)
    volume = np.abs(signed_volumes(points, kind, nodes))
    return np.asarray(~(volume > DEGENERATE * reach ** cell_type(kind).dimension) & np.isfinite(reach))


# The vertices of each cell in the order that turns it inside out.
_MIRRORED = {
    "line": (1, 0),
    "line3": (1, 0, 2),
    "triangle": (0, 2, 1),
    "triangle6": (0, 2, 1, 5, 4, 3),
    "quad": (0, 3, 2, 1),
    "quad8": (0, 3, 2, 1, 7, 6, 5, 4),
    "quad9": (0, 3, 2, 1, 7, 6, 5, 4, 8),
    "tetra": (0, 2, 1, 3),
    "tetra10": (0, 2, 1, 3, 6, 5, 4, 7, 9, 8),
    "hexahedron": (0, 3, 2, 1, 4, 7, 6, 5),
    "hexahedron20": (0, 3, 2, 1, 4, 7, 6, 5, 11, 10, 9, 8, 15, 14, 13, 12, 16, 19, 18, 17),
    "hexahedron27": (
        *(0, 3, 2, 1, 4, 7, 6, 5, 11, 10, 9, 8, 15, 14, 13, 12, 16, 19, 18, 17),
        *(22, 23, 20, 21, 24, 25, 26),
    ),
    "wedge": (0, 2, 1, 3, 5, 4),
    "pyramid": (0, 3, 2, 1, 4),
}


def _turned(mesh: Mesh, kind: str) -> Array:
    nodes = mesh.cells[kind]
    if cell_type(kind).dimension < max(mesh.space_dimension, 1) or not len(nodes):
        return nodes
    wrong = signed_volumes(mesh.points, kind, nodes) < 0
    return np.where(wrong[:, None], nodes[:, list(_MIRRORED[kind])], nodes)


def _some(blocks: dict[str, Array]) -> dict[str, Array]:
    return {kind: members for kind, members in blocks.items() if len(members)}


def _first(members: Array) -> str:
    return ", ".join(map(str, members[:_SHOWN])) + (", …" if len(members) > _SHOWN else "")


def _places(centroids: Array, members: Array) -> str:
    places = [f"({', '.join(f'{x:.3g}' for x in centroids[i])})" for i in members[:_SHOWN]]
    return ", ".join(places) + (", …" if len(members) > _SHOWN else "")
