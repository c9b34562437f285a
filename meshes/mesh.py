"""A mesh in memory: points, blocks of cells, fields on them, and named sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError

__all__ = ["Mesh"]

Array = NDArray[Any]
Blocks = dict[str, Array]


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """Points, cells by type, point, cell and global fields, and named sets. Arrays are copied in and read-only.

    Parameters
    ----------
    points
        Coordinates ``(n, dim)``, dim 1 to 3, float32 or float64 (anything else becomes float64).
    cells
        Cell type to node numbers ``(k, nodes)``, int64, in meshio's node order. Types of several dimensions may stand
        side by side (boundary lines beside triangles); `dimension` is the largest.
    point_data
        Name to values ``(n, ...)``.
    cell_data
        Name to cell type to values ``(k, ...)``; a field may be missing on some types.
    global_data
        Name to an array of any shape: scalars of the sample.
    node_sets
        Name to node numbers ``(m,)``.
    cell_sets
        Name to cell type to cell numbers within the block ``(m,)``.
    facet_sets
        Name to facet type to node numbers ``(m, nodes)``: parts of the boundary, as connectivity.

    Raises
    ------
    MeshError
        A shape, a dtype or a node number that does not fit, with the name of the field or set.

    Examples
    --------
    >>> Mesh([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], {"triangle": [[0, 1, 2]]}, {"u": [0.0, 1.0, 2.0]})
    Mesh: 3 points in 2-D, 1 triangle
      point data: u (3,) float64
    """

    points: Array
    cells: Blocks
    point_data: dict[str, Array] = field(default_factory=dict)
    cell_data: dict[str, Blocks] = field(default_factory=dict)
    global_data: dict[str, Array] = field(default_factory=dict)
    node_sets: dict[str, Array] = field(default_factory=dict)
    cell_sets: dict[str, Blocks] = field(default_factory=dict)
    facet_sets: dict[str, Blocks] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = _points(self.points)
        n = len(points)
        cells = {kind: _nodes(f"cells {kind!r}", nodes, cell_type(kind).nodes, n) for kind, nodes in self.cells.items()}
        counts = {kind: len(nodes) for kind, nodes in cells.items()}
        frozen = {
            "points": points,
            "cells": cells,
            "point_data": {name: _values(f"point field {name!r}", v, n) for name, v in self.point_data.items()},
            "cell_data": {
                name: {
                    kind: _values(f"cell field {name!r} on {kind!r}", v, _count(name, kind, counts))
                    for kind, v in blocks.items()
                }
                for name, blocks in self.cell_data.items()
            },
            "global_data": {name: _frozen(np.array(v)) for name, v in self.global_data.items()},
            "node_sets": {name: _numbers(f"node set {name!r}", v, n) for name, v in self.node_sets.items()},
            "cell_sets": {
                name: {
                    kind: _numbers(f"cell set {name!r} on {kind!r}", v, _count(name, kind, counts))
                    for kind, v in blocks.items()
                }
                for name, blocks in self.cell_sets.items()
            },
            "facet_sets": {
                name: {kind: _nodes(f"facet set {name!r}", v, cell_type(kind).nodes, n) for kind, v in blocks.items()}
                for name, blocks in self.facet_sets.items()
            },
        }
        for name, value in frozen.items():
            object.__setattr__(self, name, value)

    @property
    def dimension(self) -> int:
        """The largest dimension of a cell type present; 0 for a mesh without cells."""
        return max((cell_type(kind).dimension for kind, nodes in self.cells.items() if len(nodes)), default=0)

    @property
    def space_dimension(self) -> int:
        """Number of coordinates of a point."""
        return int(self.points.shape[1])

    @property
    def cell_count(self) -> int:
        """Cells of the largest dimension."""
        return sum(len(nodes) for nodes in self.blocks().values())

    def blocks(self, dimension: int | None = None) -> Blocks:
        """The non-empty cell blocks of one dimension (the largest by default)."""
        wanted = self.dimension if dimension is None else dimension
        return {k: v for k, v in self.cells.items() if len(v) and cell_type(k).dimension == wanted}

    def block(self, kind: str) -> Array:
        """Node numbers ``(k, nodes)`` of the cells of one type.

        Raises
        ------
        MeshError
            If there are none; the message lists what there is.
        """
        if kind not in self.cells or not len(self.cells[kind]):
            raise MeshError(f"the mesh has no {kind!r} cells; it has {self._cell_words() or 'no cells'}.")
        return self.cells[kind]

    def point_field(self, name: str) -> Array:
        """A point field by name; raises `MeshError` that lists the known ones."""
        if name not in self.point_data:
            raise MeshError(f"point field {name!r}: not in the mesh, which has {_listed(self.point_data)}.")
        return self.point_data[name]

    def node_set(self, name: str) -> Array:
        """A node set by name; raises `MeshError` that lists the known ones."""
        if name not in self.node_sets:
            raise MeshError(f"node set {name!r}: not in the mesh, which has {_listed(self.node_sets)}.")
        return self.node_sets[name]

    def facet_set(self, name: str) -> Blocks:
        """A facet set by name; raises `MeshError` that lists the known ones."""
        if name not in self.facet_sets:
            raise MeshError(f"facet set {name!r}: not in the mesh, which has {_listed(self.facet_sets)}.")
        return self.facet_sets[name]

    def with_points(self, points: ArrayLike) -> Mesh:
        """The same mesh with its nodes at other places."""
        return replace(self, points=np.asarray(points))

    def __eq__(self, other: object) -> bool:
        """Equal arrays, names and dtypes (NaN equals NaN); the order of names does not matter."""
        if not isinstance(other, Mesh):
            return NotImplemented
        return all(_equal(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [f"Mesh: {len(self.points)} points in {self.space_dimension}-D, {self._cell_words() or 'no cells'}"]
        if self.point_data:
            lines.append("  point data: " + ", ".join(f"{k} {v.shape} {v.dtype}" for k, v in self.point_data.items()))
        if self.cell_data:
            lines.append("  cell data: " + ", ".join(f"{k} on {', '.join(v)}" for k, v in self.cell_data.items()))
        if self.global_data:
            lines.append("  global data: " + ", ".join(f"{k} {v.shape}" for k, v in self.global_data.items()))
        for title, sets in (
            ("node sets", self.node_sets),
            ("cell sets", self.cell_sets),
            ("facet sets", self.facet_sets),
        ):
            if sets:
                lines.append(f"  {title}: " + ", ".join(f"{name} ({_size(sets[name])})" for name in sets))
        return "\n".join(lines)

    def _cell_words(self) -> str:
        return ", ".join(f"{len(v)} {k}{'s' if len(v) != 1 else ''}" for k, v in self.cells.items())


def _points(points: ArrayLike) -> Array:
    array = np.array(points)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 2 or not 1 <= array.shape[1] <= 3:
        raise MeshError(f"points {array.shape}: expected (n, dim) with dim 1, 2 or 3.")
    return _frozen(array)


def _nodes(what: str, nodes: ArrayLike, width: int, n: int) -> Array:
    array = np.array(nodes)
    if array.size == 0:
        array = array.reshape(0, width).astype(np.int64)
    if array.ndim != 2 or array.shape[1] != width:
        raise MeshError(f"{what} {array.shape}: expected (k, {width}) node numbers.")
    return _numbers(what, array, n)


def _numbers(what: str, numbers: ArrayLike, count: int) -> Array:
    array = np.array(numbers)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise MeshError(f"{what} of dtype {array.dtype}: expected whole numbers.")
    array = array.astype(np.int64)
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise MeshError(f"{what}: numbers run from {array.min()} to {array.max()}, but there are {count}.")
    return _frozen(array)


def _values(what: str, values: ArrayLike, count: int) -> Array:
    array = np.array(values)
    if array.ndim == 0 or array.shape[0] != count or array.dtype.kind not in "fiubc":
        raise MeshError(f"{what} of shape {array.shape} and dtype {array.dtype}: expected ({count}, ...) numbers.")
    return _frozen(array)


def _count(name: str, kind: str, counts: Mapping[str, int]) -> int:
    if kind not in counts:
        raise MeshError(f"{name!r} is given on {kind!r} cells, but the mesh has {_listed(counts)}.")
    return counts[kind]


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    floating = a.dtype.kind in "fc" and b.dtype.kind in "fc"
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=floating))


def _size(members: Array | Blocks) -> int:
    return sum(len(v) for v in members.values()) if isinstance(members, dict) else len(members)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, names)) or "none"
