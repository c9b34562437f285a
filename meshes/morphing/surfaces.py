"""The topology of a triangulated surface: one orientation, its boundary loops, and whether it is a disc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError, MorphingError
from meshes.geometry import signed_volumes
from meshes.mesh import Mesh

__all__ = ["Surface", "boundary_loops", "disc", "surface"]

Array = NDArray[Any]
_SHOWN = 5


@dataclass(frozen=True)
class Surface:
    """A triangulated surface that is a manifold with one orientation.

    Attributes
    ----------
    triangles
        Node numbers ``(k, 3)``, all turning the same way: counterclockwise in the plane, like most of the mesh's own
        in space.
    parts
        Connected parts.
    euler
        Euler characteristic V − E + F, which is Σ (2 − 2 genus) − loops.
    loops
        Node numbers of every boundary loop ``(m,)`` in order, the surface on the left; the longest (in nodes) first.
    """

    triangles: Array
    parts: int
    euler: int
    loops: tuple[Array, ...]

    @property
    def genus(self) -> float:
        """Handles of all parts together; half a handle tells that the surface touches itself in single nodes."""
        return self.parts - (self.euler + len(self.loops)) / 2


def surface(mesh: Mesh) -> Surface:
    """Find the orientation and the boundary loops of the triangles of a mesh.

    Raises
    ------
    MeshError
        The cells of the largest dimension are not triangles.
    MorphingError
        An edge belongs to more than two triangles, the surface has one side only, it touches itself at a boundary
        node, or a point belongs to no triangle.

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 3, 2]]})
    >>> surface(square).triangles.tolist(), surface(square).loops[0].tolist()
    ([[0, 1, 2], [0, 2, 3]], [0, 1, 2, 3])
    """
    triangles = _triangles(mesh)
    from_, to, owner = _edges(triangles)
    low, high = np.minimum(from_, to), np.maximum(from_, to)
    _, edge, count = np.unique(low * len(mesh.points) + high, return_inverse=True, return_counts=True)
    crowded = np.flatnonzero(count > 2)
    if len(crowded):
        first = [int(np.flatnonzero(edge == e)[0]) for e in crowded[:_SHOWN]]
        shown = ", ".join(f"{low[i]}–{high[i]}" for i in first)
        raise MorphingError(
            f"{len(crowded)} edges belong to more than two triangles ({shown}): expected a manifold surface; separate "
            "the sheets with meshes.subset, and look at meshes.check_mesh."
        )
    order = np.argsort(edge, kind="stable")
    shared = np.flatnonzero(np.diff(edge[order]) == 0)
    one, other = order[shared], order[shared + 1]
    turned, parts = _turned(owner[one], owner[other], from_[one] == from_[other], _votes(mesh.points, triangles))
    triangles = np.where(turned[:, None], triangles[:, [0, 2, 1]], triangles)
    from_, to, _ = _edges(triangles)
    rim = ~np.isin(from_ * len(mesh.points) + to, to * len(mesh.points) + from_)
    euler = len(mesh.points) - len(count) + len(triangles)
    return Surface(triangles, parts, euler, boundary_loops(np.stack([from_[rim], to[rim]], axis=1)))


def disc(mesh: Mesh) -> tuple[Array, Array]:
    """Triangles ``(k, 3)`` of one orientation and the boundary nodes ``(m,)`` in order of a surface that is a disc.

    Raises
    ------
    MeshError, MorphingError
        As `surface`, and if it is not a disc: the message counts parts, loops and handles and says where the loops are.
    """
    found = surface(mesh)
    if found.parts == 1 and len(found.loops) == 1 and found.genus == 0:
        return found.triangles, found.loops[0]
    if found.parts > 1:
        remedy = "take one part with meshes.subset"
    elif found.genus % 1:
        remedy = "it touches itself in single nodes: give each sheet its own"
    elif not found.loops:
        remedy = "it is closed: cut it open, or take a patch with meshes.subset"
    else:
        remedy = "close or cut open what is too much, or morph with RadialBasisMorphing or HarmonicMorphing"
    boxes = "; ".join(_box(mesh.points[loop]) for loop in found.loops[:_SHOWN])
    raise MorphingError(
        f"the surface has {found.parts} parts, {len(found.loops)} boundary loops and genus {found.genus:g} (Euler "
        f"characteristic {found.euler}){', loops in ' + boxes if boxes else ''}: expected a disc, 1 part with 1 loop "
        f"and genus 0; {remedy}."
    )


def boundary_loops(edges: Array) -> tuple[Array, ...]:
    """The closed loops that directed edges ``(m, 2)`` make, each as node numbers in order; the longest first.

    Raises
    ------
    MorphingError
        A node starts or ends more than one edge: the surface touches itself there.
    """
    if not len(edges):
        return ()
    nodes, place = np.unique(edges, return_inverse=True)
    place = place.reshape(edges.shape)
    pinched = nodes[(np.bincount(place[:, 0], minlength=len(nodes)) != 1)]
    if len(pinched):
        raise MorphingError(
            f"{len(pinched)} boundary nodes where the surface touches itself ({_first(pinched)}): expected every "
            "boundary node on two boundary edges; give each sheet its own node there."
        )
    follower = np.empty(len(nodes), dtype=np.int64)
    follower[place[:, 0]] = place[:, 1]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(nodes)), (np.arange(len(nodes)), follower)), shape=(len(nodes),) * 2)
    _, label = connected_components(graph, directed=False)
    _, starts, lengths = np.unique(label, return_index=True, return_counts=True)
    ranked = np.argsort(-lengths, kind="stable")
    return tuple(nodes[_cycle(follower, int(starts[i]), int(lengths[i]))] for i in ranked)


def _cycle(follower: Array, start: int, length: int) -> Array:
    """`length` nodes from `start` on: the known piece, moved on by its own length, doubles until all are there."""
    order, jump = np.array([start]), follower
    while len(order) < length:
        order, jump = np.concatenate([order, jump[order]]), jump[jump]
    return order[:length]


def _triangles(mesh: Mesh) -> Array:
    blocks = mesh.blocks()
    if list(blocks) != ["triangle"]:
        raise MeshError(
            f"the mesh has {', '.join(blocks) or 'no'} cells: expected a surface of triangles; take a named part with "
            "meshes.subset, the skin of a solid with meshes.boundary, and split quadrilaterals."
        )
    triangles = blocks["triangle"]
    collapsed = np.flatnonzero((triangles == np.roll(triangles, 1, axis=1)).any(axis=1))
    if len(collapsed):
        raise MorphingError(
            f"{len(collapsed)} triangles name a node twice ({_first(collapsed)}): drop them with meshes.repair_mesh."
        )
    idle = np.setdiff1d(np.arange(len(mesh.points)), triangles)
    if len(idle):
        raise MorphingError(
            f"{len(idle)} points that no triangle uses ({_first(idle)}): drop them with meshes.repair_mesh."
        )
    return triangles


def _edges(triangles: Array) -> tuple[Array, Array, Array]:
    """Start, end and triangle of all directed edges."""
    owner = np.tile(np.arange(len(triangles)), 3)
    return triangles.T.ravel(), np.roll(triangles, -1, axis=1).T.ravel(), owner


def _turned(one: Array, other: Array, against: Array, vote: Array) -> tuple[Array, int]:
    """Which triangles must be turned so that neighbours agree, and the number of connected parts.

    Every triangle stands for two, itself and itself turned; those that agree are connected. A surface with two sides
    falls into twice as many pieces as it has parts, and a Möbius strip meets its own back. Of the two orientations of
    a part, that wins for which most votes are positive.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(vote)
    rows, columns = np.concatenate([one, one + count]), np.concatenate([other, other + count])
    columns = np.where(np.tile(against, 2), (columns + count) % (2 * count), columns)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(2 * count,) * 2)
    _, label = connected_components(graph, directed=False)
    front, back = label[:count], label[count:]
    if (front == back).any():
        raise MorphingError(
            f"the surface has one side only, like a Möbius strip ({int((front == back).sum())} triangles meet their "
            "own back): expected an orientable surface; cut it open."
        )
    piece, as_is = np.minimum(front, back), front < back
    score = np.bincount(piece, weights=np.where(as_is, vote, -vote), minlength=2 * count)
    return np.asarray(as_is != (score >= 0)[piece]), len(np.unique(piece))


def _votes(points: Array, triangles: Array) -> Array:
    """In the plane the signed area of a triangle; in space every triangle counts once, as it is."""
    if points.shape[1] != 2:
        return np.ones(len(triangles))
    return signed_volumes(points, "triangle", triangles)


def _box(points: Array) -> str:
    low, high = points.min(axis=0), points.max(axis=0)
    return " × ".join(f"[{a:.3g}, {b:.3g}]" for a, b in zip(low, high, strict=True))


def _first(members: Array) -> str:
    return ", ".join(map(str, members[:_SHOWN])) + (", …" if len(members) > _SHOWN else "")
