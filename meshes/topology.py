"""Who touches whom: facets with the cells on both sides, the boundary, parts of a mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.mesh import Mesh

__all__ = ["Facets", "boundary", "boundary_facets", "facets", "match_rows", "restrict", "subset"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Facets:
    """All facets of one linear type, once for every cell they belong to, those of equal vertices side by side.

    Attributes
    ----------
    kind
        Types ``(m,)`` of the facets, such as "line3".
    cell
        ``(m,)`` cell of each, counted through the blocks of the largest dimension in their order.
    local
        ``(m,)`` number of the facet in its cell.
    group
        ``(m,)`` rising group numbers: facets with the same vertices share one.
    count
        ``(groups,)`` how many cells share a facet: 1 on the boundary, 2 inside, more where the mesh is not a manifold.
    vertices
        ``(groups, vertices)`` sorted vertex numbers of each group.
    """

    kind: Array
    cell: Array
    local: Array
    group: Array
    count: Array
    vertices: Array


def facets(mesh: Mesh) -> dict[str, Facets]:
    """The facets of all cells of the largest dimension, by linear type: "line", "triangle", "quad".

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> facets(square)["line"].count
    array([1, 2, 1, 1, 1])
    """
    pieces: dict[str, list[tuple[str, Array, Array, Array]]] = {}
    start = 0
    for name, nodes in mesh.blocks().items():
        for number, (own, local) in enumerate(cell_type(name).facets):
            linear = cell_type(cell_type(own).linear)
            cells = np.arange(start, start + len(nodes))
            piece = (own, cells, np.full(len(nodes), number), nodes[:, list(local[: linear.vertices])])
            pieces.setdefault(linear.name, []).append(piece)
        start += len(nodes)
    return {linear: _grouped(found) for linear, found in pieces.items()}


def boundary_facets(mesh: Mesh) -> dict[str, Array]:
    """Facets that belong to one cell only, ``{facet type: (m, nodes)}``, oriented outward.

    Examples
    --------
    >>> boundary_facets(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))["line"].tolist()
    [[0, 1], [1, 2], [2, 0]]
    """
    blocks = mesh.blocks()
    starts = np.cumsum([0, *(len(nodes) for nodes in blocks.values())])
    found: dict[str, list[Array]] = {}
    for group in facets(mesh).values():
        single = group.count[group.group] == 1
        cells, local = group.cell[single], group.local[single]
        block = np.searchsorted(starts, cells, side="right") - 1
        for number, (name, nodes) in enumerate(blocks.items()):
            for facet, (own, order) in enumerate(cell_type(name).facets):
                chosen = (block == number) & (local == facet)
                if chosen.any() and cell_type(own).linear == cell_type(group.kind[0]).linear:
                    found.setdefault(own, []).append(nodes[cells[chosen] - starts[number]][:, list(order)])
    return {own: np.concatenate(parts) for own, parts in found.items()}


def boundary(mesh: Mesh) -> tuple[Mesh, Array]:
    """The boundary as a mesh of one dimension less, and the numbers of its nodes in `mesh`; point fields go along."""
    shell = replace(mesh, cells=boundary_facets(mesh), cell_data={}, cell_sets={})
    return restrict(shell)


def subset(mesh: Mesh, cells: dict[str, ArrayLike]) -> tuple[Mesh, Array]:
    """The part of a mesh made of the given cells, ``{type: cell numbers or a boolean mask}``, and its nodes' numbers.

    Fields and sets are restricted to what is left of them; facets stay if all their nodes do.

    Raises
    ------
    MeshError
        A type or a cell number that is not in the mesh.
    """
    if not isinstance(cells, dict):
        raise MeshError(f"subset of {cells!r}: expected {{type: cell numbers}}, such as mesh.cell_sets[name].")
    chosen = {}
    for kind, wanted in cells.items():
        count = len(mesh.block(kind))
        index = np.asarray(wanted)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        if index.size and not 0 <= index.min() <= index.max() < count:
            raise MeshError(f"subset of {kind!r}: cells {index.min()} to {index.max()}, but the mesh has {count}.")
        chosen[kind] = index
    part = replace(
        mesh,
        cells={kind: mesh.cells[kind][index] for kind, index in chosen.items()},
        cell_data=_kept({n: {k: v[chosen[k]] for k, v in b.items() if k in chosen} for n, b in mesh.cell_data.items()}),
        cell_sets=_kept(
            {
                name: {k: np.flatnonzero(np.isin(chosen[k], v)) for k, v in blocks.items() if k in chosen}
                for name, blocks in mesh.cell_sets.items()
            }
        ),
    )
    return restrict(part)


def restrict(mesh: Mesh) -> tuple[Mesh, Array]:
    """The mesh without nodes that no cell uses, and the old numbers of the nodes that stay."""
    used = np.zeros(len(mesh.points), dtype=bool)
    for nodes in mesh.cells.values():
        used[nodes] = True
    old = np.flatnonzero(used)
    new = np.cumsum(used) - 1
    sets = {name: new[nodes[used[nodes]]] for name, nodes in mesh.node_sets.items()}
    facet_sets = {
        name: {kind: new[nodes[used[nodes].all(axis=1)]] for kind, nodes in blocks.items()}
        for name, blocks in mesh.facet_sets.items()
    }
    smaller = Mesh(
        mesh.points[old],
        {kind: new[nodes] for kind, nodes in mesh.cells.items()},
        {name: values[old] for name, values in mesh.point_data.items()},
        mesh.cell_data,
        mesh.global_data,
        sets,
        mesh.cell_sets,
        facet_sets,
    )
    return smaller, old


def match_rows(known: Array, wanted: Array) -> Array:
    """For every row of `wanted` the number of the equal row of `known`, −1 if there is none."""
    if not len(wanted) or not len(known):
        return np.full(len(wanted), -1)
    _, place = np.unique(np.concatenate([known, wanted]), axis=0, return_inverse=True)
    place = place.ravel()
    number = np.full(int(place.max()) + 1, -1)
    number[place[: len(known)]] = np.arange(len(known))
    return np.asarray(number[place[len(known) :]])


def _grouped(pieces: list[tuple[str, Array, Array, Array]]) -> Facets:
    kind = np.concatenate([np.full(len(cells), own) for own, cells, _, _ in pieces])
    cell, local = (np.concatenate([piece[i] for piece in pieces]) for i in (1, 2))
    vertices = np.sort(np.concatenate([piece[3] for piece in pieces]), axis=1)
    order = np.lexsort(vertices.T[::-1])
    vertices = vertices[order]
    first = np.ones(len(vertices), dtype=bool)
    first[1:] = (vertices[1:] != vertices[:-1]).any(axis=1)
    group = np.cumsum(first) - 1
    count = np.bincount(group, minlength=int(first.sum()))
    return Facets(kind[order], cell[order], local[order], group, count, vertices[first])


def _kept(fields: dict[str, dict[str, Array]]) -> dict[str, dict[str, Array]]:
    return {name: blocks for name, blocks in fields.items() if blocks}
