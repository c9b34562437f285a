"""Meshes as graphs of several levels, for message passing: what nodes and edges are told, and the coarse levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import KDTree
from torch import Tensor
from torch_geometric.data import Data

from meshes import Mesh, boundary_facets
from sciml.errors import LearnerError
from sciml.learners.mmgp.parts import PartFamily, field_values, scalar_values

__all__ = ["LEVELS", "GraphReader", "MeshGraph"]

Array = NDArray[Any]

#: The mesh and two coarser graphs, each with about a seventh of the nodes of the one before.
LEVELS = 3


class MeshGraph(Data):
    """One mesh, or several side by side, as a graph of `LEVELS` levels. Nodes are sorted by their coordinates.

    Attributes
    ----------
    x
        What is known at the nodes ``(n, channels)``, float32.
    y
        Fields ``(n, fields)`` (no column where they are unknown).
    order
        Number in the mesh of each node ``(n,)``.
    counts
        Nodes of each level ``(graphs, LEVELS)``.
    within_0, within_1, ...
        Edges inside a level ``(2, e)``, sender above receiver; ``within_shape_0`` their geometry ``(e, 2 dim + 1)``.
    upward_0, ...
        Edges from a level to the next coarser one, and ``upward_shape_0``.
    """

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """What is added to node numbers of the next graph of a batch."""
        kind, _, level = key.rpartition("_")
        if kind == "within":
            return int(self.counts[0, int(level)])
        if kind == "upward":
            return self.counts[0, int(level) : int(level) + 2].reshape(2, 1)
        return 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Edges stand side by side, everything else one below the other."""
        return 1 if key.rpartition("_")[0] in ("within", "upward") else 0


@dataclass(frozen=True)
class GraphReader:
    """Reads meshes of a family as graphs.

    A node is told its coordinates, whether it is on the boundary, the size of the mesh around it, its distance (also
    the logarithm) and direction to the nearest node of every named set, and the given scalars.

    Parameters
    ----------
    family
        Names of the given scalars and of the predicted fields.
    sets
        Node sets that all meshes have.
    """

    family: PartFamily
    sets: tuple[str, ...]

    @classmethod
    def of(cls, meshes: Sequence[Mesh], family: PartFamily) -> GraphReader:
        """The reader that uses every node set that all meshes have.

        Raises
        ------
        LearnerError
            There are no meshes.
        """
        if not meshes:
            raise LearnerError("no meshes to learn from: expected some training meshes.")
        common = set.intersection(*({name for name, nodes in m.node_sets.items() if len(nodes)} for m in meshes))
        return cls(family, tuple(sorted(common)))

    def read(self, mesh: Mesh, is_solved: bool) -> MeshGraph:
        """The graph of a mesh; ``y`` has its fields if it is solved.

        Raises
        ------
        LearnerError
            A node set, a scalar or a field is missing.
        """
        order = np.lexsort(mesh.points.T[::-1])  # whatever the numbering, the same graph; neighbours are near in memory
        place = np.argsort(order)
        points = mesh.points[order].astype(np.float64)
        levels = _levels(points, _adjacency(mesh, place))
        fields = self.family.fields if is_solved else ()
        y = np.stack([field_values(mesh, name)[order] for name in fields], 1) if fields else np.empty((len(order), 0))
        parts = {"x": _float(self._told(mesh, points, place, levels["within_0"])), "y": _float(y)}
        counts = torch.tensor([levels.pop("counts").tolist()])
        edges = {name: torch.from_numpy(v) if v.dtype == np.int64 else _float(v) for name, v in levels.items()}
        return MeshGraph(**parts, order=torch.from_numpy(order), counts=counts, num_nodes=len(order), **edges)

    def _told(self, mesh: Mesh, points: Array, place: Array, edges: Array) -> Array:
        """Columns ``(n, channels)`` at the sorted nodes."""
        missing = [name for name in self.sets if not len(mesh.node_sets.get(name, ()))]
        if missing:
            raise LearnerError(f"node set {missing[0]!r} is missing: expected the sets {', '.join(self.sets)}.")
        on_boundary = np.zeros(len(points))
        for nodes in boundary_facets(mesh).values():
            on_boundary[place[nodes]] = 1.0
        size = _mean_length(points, edges)
        columns = [points, on_boundary[:, None], np.log(size)[:, None]]
        smallest = float(np.median(size))
        for name in self.sets:
            known = points[np.sort(place[mesh.node_sets[name]])]
            distance, nearest = KDTree(known).query(points)
            direction = (known[nearest] - points) / np.maximum(distance, 1e-12 * smallest)[:, None]
            columns += [distance[:, None], np.log(distance + smallest)[:, None], direction]
        given = [scalar_values(mesh, name) for name in self.family.input_scalars]
        return np.concatenate([*columns, np.broadcast_to(given, (len(points), len(given)))], axis=1)


def _adjacency(mesh: Mesh, place: Array) -> csr_array:
    """Which nodes share a cell, ``(n, n)`` with an empty diagonal."""
    n = len(mesh.points)
    pairs = [np.stack(np.broadcast_arrays(c[:, :, None], c[:, None, :])).reshape(2, -1) for c in mesh.blocks().values()]
    if not pairs:
        raise LearnerError("the mesh has no cells: expected a mesh whose nodes are connected.")
    rows, columns = place[np.concatenate(pairs, axis=1)]
    apart = rows != columns
    return _pattern(csr_array((np.ones(int(apart.sum())), (rows[apart], columns[apart])), shape=(n, n)))


def _levels(points: Array, adjacency: csr_array) -> dict[str, Array]:
    """Edges and their geometry on and between the levels, and how many nodes each has.

    A coarse node stands for a node and its neighbours (the aggregates of algebraic multigrid: dense where the mesh is
    dense, and never across a gap). Coarse nodes are linked if members are, and linked to their members' neighbours.
    """
    from pyamg.aggregation.aggregate import standard_aggregation

    found, counts = {}, []
    for level in range(LEVELS):
        counts.append(len(points))
        found |= _edges("within", level, adjacency, points, points)
        if level + 1 < LEVELS:
            members = csr_array(standard_aggregation(adjacency)[0]).astype(np.float64)
            coarse = (members.T @ points) / members.sum(axis=0)[:, None]
            found |= _edges("upward", level, _pattern((adjacency @ members + members).T), points, coarse)
            links = csr_array(members.T @ adjacency @ members)
            links.setdiag(0.0)
            points, adjacency = coarse, _pattern(links)
    return {**found, "counts": np.array(counts)}


def _edges(name: str, level: int, links: csr_array, senders: Array, receivers: Array) -> dict[str, Array]:
    """Edges ``(2, e)`` by receiver, from links ``(receivers, senders)``: the way, its direction, its log length."""
    entries = links.tocoo()
    sender, receiver = entries.col.astype(np.int64), entries.row.astype(np.int64)
    way = senders[sender] - receivers[receiver]
    length = np.linalg.norm(way, axis=1, keepdims=True)
    floor = 1e-3 * float(np.median(length)) if len(length) else 1.0
    shape = np.concatenate([way, way / np.maximum(length, floor), np.log(np.maximum(length, floor))], axis=1)
    return {f"{name}_{level}": np.stack([sender, receiver]), f"{name}_shape_{level}": shape}


def _pattern(links: Any) -> csr_array:
    """Ones where a sparse matrix is not zero, columns sorted."""
    pattern = csr_array(links)
    pattern.eliminate_zeros()
    pattern.sum_duplicates()
    pattern.data = np.ones_like(pattern.data, dtype=np.float64)
    return pattern


def _mean_length(points: Array, edges: Array) -> Array:
    """Mean length ``(n,)`` of the edges at each node; 1 where there is none."""
    length = np.linalg.norm(points[edges[0]] - points[edges[1]], axis=1)
    total, count = (np.bincount(edges[1], weights, len(points)) for weights in (length, None))
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _float(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
