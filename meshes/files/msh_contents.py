"""What a Gmsh file says, before and after it becomes a mesh: elements with tags, physical groups, sparse fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshFileError
from meshes.files.gmsh_types import GMSH_ORDER, GMSH_TYPES
from meshes.files.tag_numbers import TagNumbers
from meshes.interchange.cell_fields import planar
from meshes.mesh import Mesh

__all__ = ["Block", "MshContents", "kind_of"]

Array = NDArray[Any]
Group = tuple[int, int]

_KINDS = {number: kind for kind, number in GMSH_TYPES.items()}


def kind_of(number: int) -> str:
    """Our name of one of Gmsh's element types."""
    if number not in _KINDS:
        raise MeshFileError(f"Gmsh elements of type {number}: not supported; save the mesh with order 1 or 2.")
    return _KINDS[number]


@dataclass(frozen=True)
class Block:
    """Elements of one type: their tags, the tags of their nodes in Gmsh's order, and the members of physical groups."""

    kind: str
    tags: Array
    nodes: Array
    members: dict[int, Array]


@dataclass
class MshContents:
    """The sections of a file; fields are (tags, values)."""

    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    tags: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    blocks: list[Block] = field(default_factory=list)
    names: dict[Group, str] = field(default_factory=dict)
    node_data: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    element_data: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def mesh(self) -> Mesh:
        """The mesh, cells of one type in the order of their tags.

        Groups of the mesh's dimension become cell sets, of one less facet sets, of fewer node sets.
        """
        nodes = TagNumbers("node", self.tags)
        cells: dict[str, list[Array]] = {}
        tags: dict[str, list[Array]] = {}
        groups: dict[Group, dict[str, list[Array]]] = {group: {} for group in self.names}
        for block in self.blocks:
            kind = block.kind
            own = list(GMSH_ORDER.get(kind, range(cell_type(kind).nodes)))
            cells.setdefault(kind, []).append(nodes.of(block.nodes)[:, own])
            tags.setdefault(kind, []).append(block.tags)
            for tag, members in block.members.items():
                group = groups.setdefault((cell_type(kind).dimension, tag), {})
                group.setdefault(kind, []).append(block.tags[members])
        every = {kind: np.concatenate(parts) for kind, parts in tags.items()}
        order = {kind: np.argsort(own, kind="stable") for kind, own in every.items()}
        every = {kind: own[order[kind]] for kind, own in every.items()}
        joined = {kind: np.concatenate(parts)[order[kind]] for kind, parts in cells.items()}
        dimension = max((cell_type(kind).dimension for kind, parts in joined.items() if len(parts)), default=0)
        named = {
            group: {kind: TagNumbers("element", every[kind]).of(np.concatenate(ids)) for kind, ids in parts.items()}
            for group, parts in groups.items()
        }
        return Mesh(
            planar(self.points, dimension),
            joined,
            {name: _full(nodes, len(self.points), *given) for name, given in self.node_data.items()},
            self._cell_data(every),
            {},
            *self._sets(joined, named, dimension),
        )

    def _sets(
        self, cells: dict[str, Array], groups: dict[Group, dict[str, Array]], dimension: int
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]], dict[str, dict[str, Array]]]:
        node_sets: dict[str, Array] = {}
        cell_sets: dict[str, dict[str, Array]] = {}
        facet_sets: dict[str, dict[str, Array]] = {}
        for (own, tag), members in groups.items():
            name = self.names.get((own, tag), f"physical {tag}")
            if own == dimension:
                cell_sets[name] = members
            elif own == dimension - 1:
                facet_sets[name] = {kind: cells[kind][ids] for kind, ids in members.items()}
            else:
                found = [node_sets.get(name, np.zeros(0, dtype=np.int64))]
                node_sets[name] = np.unique(
                    np.concatenate([*found, *(cells[k][i].ravel() for k, i in members.items())])
                )
        return node_sets, cell_sets, facet_sets

    def _cell_data(self, tags: dict[str, Array]) -> dict[str, dict[str, Array]]:
        counts = [len(v) for v in tags.values()]
        if not counts or not self.element_data:
            return {}
        numbers = TagNumbers("element", np.concatenate(list(tags.values())))
        found = {}
        for name, (ids, values) in self.element_data.items():
            where = numbers.of(ids)
            given = np.zeros(sum(counts), dtype=bool)
            given[where] = True
            parts = np.split(_full(numbers, sum(counts), ids, values), np.cumsum(counts)[:-1])
            has = [bool(part.any()) for part in np.split(given, np.cumsum(counts)[:-1])]
            found[name] = {kind: part for kind, part, some in zip(tags, parts, has, strict=True) if some}
        return {name: parts for name, parts in found.items() if parts}


def _full(numbers: TagNumbers, count: int, tags: Array, values: Array) -> Array:
    """Values for all, NaN where none is given."""
    full = np.full((count, *values.shape[1:]), np.nan)
    full[numbers.of(tags)] = values
    return full
