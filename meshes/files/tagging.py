"""Facet sets as cells, sets as tags of cells: how formats without sets of facets keep them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.mesh import Mesh

__all__ = [
    "Families",
    "facets_as_cells",
    "facets_of_cells",
    "families",
    "members_of_families",
    "nodes_as_vertices",
]

Array = NDArray[Any]

#: Number of a family to the sets whose members it has.
Families = dict[int, list[str]]


def facets_as_cells(mesh: Mesh) -> Mesh:
    """Every facet of a set as a cell of one dimension less, its set as a set of cells.

    Facets that are already among the cells, with their nodes in the same order, are not added again. Cell fields are
    NaN, or 0 where they are whole numbers, on those that are added.
    """
    cells = dict(mesh.cells)
    sets = {name: dict(parts) for name, parts in mesh.cell_sets.items()}
    for kind in sorted({kind for parts in mesh.facet_sets.values() for kind in parts}):
        named = {name: parts[kind] for name, parts in mesh.facet_sets.items() if kind in parts}
        width = cell_type(kind).nodes
        own = cells.get(kind, np.zeros((0, width), dtype=np.int64))
        every = np.concatenate([own, *named.values()])
        _, first, which = np.unique(every, axis=0, return_index=True, return_inverse=True)
        # Facets behind the cells that are there, each once, in the order in which the sets name them.
        fresh = np.sort(first[first >= len(own)])
        place = first.copy()
        place[first >= len(own)] = len(own) + np.searchsorted(fresh, first[first >= len(own)])
        cells[kind] = np.concatenate([own, every[fresh]])
        numbers = np.split(place[which.reshape(-1)][len(own) :], np.cumsum([len(v) for v in named.values()])[:-1])
        for name, ids in zip(named, numbers, strict=True):
            sets.setdefault(name, {}).setdefault(kind, ids)
    counts = {kind: len(nodes) for kind, nodes in cells.items()}
    data = {
        name: {kind: v if len(v) == counts[kind] else _padded(v, counts[kind]) for kind, v in parts.items()}
        for name, parts in mesh.cell_data.items()
    }
    return replace(mesh, cells=cells, cell_data=data, cell_sets=sets, facet_sets={})


def facets_of_cells(mesh: Mesh) -> Mesh:
    """Sets of cells of one dimension less than the mesh, as sets of facets."""
    facet = {
        name: parts
        for name, parts in mesh.cell_sets.items()
        if parts and {cell_type(kind).dimension for kind in parts} == {mesh.dimension - 1}
    }
    named = {name: {kind: mesh.cells[kind][ids] for kind, ids in parts.items()} for name, parts in facet.items()}
    kept = {name: parts for name, parts in mesh.cell_sets.items() if name not in facet}
    return replace(mesh, cell_sets=kept, facet_sets=dict(mesh.facet_sets) | named)


def nodes_as_vertices(mesh: Mesh) -> Mesh:
    """Every node of a set as a vertex cell, its set as a set of cells; a node of two sets has two vertices.

    Vertex cells that are there and in no set are used before others are added.
    """
    if not mesh.node_sets:
        return mesh
    vertices = mesh.cells.get("vertex", np.zeros((0, 1), dtype=np.int64))[:, 0]
    free = np.ones(len(vertices), dtype=bool)
    for parts in mesh.cell_sets.values():
        free[parts.get("vertex", [])] = False
    sets = {name: dict(parts) for name, parts in mesh.cell_sets.items()}
    for name, members in mesh.node_sets.items():
        ids = np.unique(members)
        known, first = np.unique(vertices[free], return_index=True)
        at = np.searchsorted(known, ids)
        there = at < len(known)
        there[there] = known[at[there]] == ids[there]
        numbers = np.empty(len(ids), dtype=np.int64)
        numbers[there] = np.flatnonzero(free)[first[at[there]]]
        numbers[~there] = len(vertices) + np.arange((~there).sum())
        vertices = np.concatenate([vertices, ids[~there]])
        free = np.concatenate([free, np.zeros((~there).sum(), dtype=bool)])
        free[numbers] = False
        sets.setdefault(name, {})["vertex"] = numbers
    count = len(vertices)
    data = {
        name: {kind: v if kind != "vertex" else _padded(v, count) for kind, v in parts.items()}
        for name, parts in mesh.cell_data.items()
    }
    cells = dict(mesh.cells) | {"vertex": vertices[:, None]}
    return replace(mesh, cells=cells, cell_data=data, cell_sets=sets, node_sets={})


def families(counts: Mapping[str, int], sets: Mapping[str, Mapping[str, Array]], step: int) -> tuple[Any, Families]:
    """A family number for every member by block, one for every combination of sets; 0 is the family of no set.

    `step` is 1 for the families of nodes, −1 for those of cells (MED's rule).
    """
    numbers = {kind: np.zeros(count, dtype=np.int64) for kind, count in counts.items()}
    combinations: list[tuple[str, ...]] = [()]
    for name, parts in sets.items():
        for kind, ids in parts.items():
            member = np.zeros(counts[kind], dtype=bool)
            member[ids] = True
            for old in np.unique(numbers[kind][member]):
                wanted = (*combinations[old], name)
                if wanted not in combinations:
                    combinations.append(wanted)
                numbers[kind][member & (numbers[kind] == old)] = combinations.index(wanted)
    used = set(np.concatenate([np.zeros(1, dtype=np.int64), *numbers.values()]).tolist())
    tags = {step * i: list(names) for i, names in enumerate(combinations) if i and i in used}
    return {kind: step * values for kind, values in numbers.items()}, tags


def members_of_families(numbers: Mapping[str, Array], tags: Mapping[int, list[str]]) -> dict[str, dict[str, Array]]:
    """The sets of `families`, back."""
    sets: dict[str, dict[str, Array]] = {}
    for name in dict.fromkeys(name for names in tags.values() for name in names):
        own = [number for number, names in tags.items() if name in names]
        found = {kind: np.flatnonzero(np.isin(values, own)) for kind, values in numbers.items()}
        sets[name] = {kind: ids for kind, ids in found.items() if len(ids)}
    return sets


def _padded(values: Array, count: int) -> Array:
    """Values of the cells that were there; NaN, or 0 where whole numbers are, for those that were added."""
    empty = np.nan if values.dtype.kind in "fc" else 0
    rest = np.full((count - len(values), *values.shape[1:]), empty, dtype=values.dtype)
    return np.concatenate([values, rest])
