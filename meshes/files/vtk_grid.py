"""A mesh as VTK's files hold it: points in space, one list of cells, arrays of points, cells and of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.interchange.cell_fields import dense_blocks, planar, sparse_blocks
from meshes.interchange.pyvista_meshes import VTK_TYPES
from meshes.mesh import Mesh

__all__ = ["VtkGrid", "grid_of", "mesh_of"]

Array = NDArray[Any]

# VTK has no named sets, no plane points and no tensors of three axes: they travel as field data under these names
# (those of `meshes.interchange.pyvista_meshes`).
_OWN = "sciml:"
_DIMENSION = _OWN + "space_dimension"
_SHAPE = _OWN + "shape:"
_SETS = ("node_set", "cell_set", "facet_set")

_KINDS = {number: kind for kind, number in VTK_TYPES.items()}
#: VTK's axis-parallel cells number their corners row by row; as general cells they go around.
_ROWWISE = {8: ("quad", (0, 1, 3, 2)), 11: ("hexahedron", (0, 1, 3, 2, 4, 5, 7, 6))}


@dataclass(frozen=True)
class VtkGrid:
    """Arrays of a VTK unstructured grid.

    Attributes
    ----------
    points
        ``(n, 3)``.
    connectivity
        Node numbers of all cells, one after the other.
    offsets
        Where each cell ends in `connectivity`.
    types
        VTK's number of the type of each cell.
    point_data, cell_data, field_data
        Name to array ``(tuples,)`` or ``(tuples, components)``.
    """

    points: Array
    connectivity: Array
    offsets: Array
    types: Array
    point_data: dict[str, Array] = field(default_factory=dict)
    cell_data: dict[str, Array] = field(default_factory=dict)
    field_data: dict[str, Array] = field(default_factory=dict)


def grid_of(mesh: Mesh) -> tuple[VtkGrid, tuple[str, ...]]:
    """The mesh as a grid, and in words what the grid does not hold."""
    lost: list[str] = []
    integer = np.int32 if max(len(mesh.points), sum(v.size for v in mesh.cells.values())) < 2**31 else np.int64
    points = np.zeros((len(mesh.points), 3), dtype=mesh.points.dtype)
    points[:, : mesh.space_dimension] = mesh.points
    blocks = {kind: nodes for kind, nodes in mesh.cells.items() if len(nodes)}
    widths = np.repeat([v.shape[1] for v in blocks.values()], [len(v) for v in blocks.values()])
    types = [np.full(len(nodes), VTK_TYPES[kind], dtype=np.uint8) for kind, nodes in blocks.items()]
    marks: dict[str, Array] = {_DIMENSION: np.array([mesh.space_dimension])}
    held = [_held(f"point field {name!r}", values, lost) for name, values in mesh.point_data.items()]
    point_data = {n: _flat("point", n, v, marks) for n, v in zip(mesh.point_data, held, strict=True) if v is not None}
    cell_data = {}
    for name, parts in mesh.cell_data.items():
        values = _dense(name, parts, blocks, lost)
        if values is not None:
            cell_data[name] = _flat("cell", name, values, marks)
    global_data = {}
    for name, whole in mesh.global_data.items():
        kept = _held(f"global data {name!r}", whole, lost)
        if kept is not None and kept.ndim != 1:
            marks[f"{_SHAPE}global:{name}"] = np.array(kept.shape, dtype=np.int64)
        if kept is not None:
            global_data[name] = kept.reshape(-1)
    connectivity = [nodes.astype(integer).ravel() for nodes in blocks.values()]
    grid = VtkGrid(
        points,
        np.concatenate(connectivity) if connectivity else np.zeros(0, dtype=integer),
        np.cumsum(widths, dtype=integer),
        np.concatenate(types) if types else np.zeros(0, dtype=np.uint8),
        point_data,
        cell_data,
        global_data | marks | _marked_sets(mesh),
    )
    return grid, tuple(lost)


def mesh_of(grid: VtkGrid) -> Mesh:
    """The mesh of a grid that anyone wrote; plane meshes without a mark come back in the plane.

    Raises
    ------
    MeshError
        Cells of unknown type, or arrays that do not fit each other.
    """
    where, cells = _cells(grid)
    fields = grid.field_data
    n, count = len(grid.points), len(grid.types)
    for what, arrays, length in (("point", grid.point_data, n), ("cell", grid.cell_data, count)):
        for name, values in arrays.items():
            if len(values) != length:
                raise MeshError(f"{what} field {name!r} has {len(values)} values, expected {length}.")
    cell_data = {}
    for name, values in grid.cell_data.items():
        shaped = _shaped("cell", name, values, fields)
        cell_data[name] = sparse_blocks({kind: shaped[ids] for kind, ids in where.items()})
    sets = _sets_of(fields)
    return Mesh(
        _points(grid, max((cell_type(kind).dimension for kind in cells), default=0)),
        cells,
        {name: _shaped("point", name, values, fields) for name, values in grid.point_data.items()},
        {name: parts for name, parts in cell_data.items() if parts},
        {name: _shaped("global", name, v, fields) for name, v in fields.items() if not name.startswith(_OWN)},
        {name: parts[""] for name, parts in sets["node_set"].items()},
        sets["cell_set"],
        sets["facet_set"],
    )


def _cells(grid: VtkGrid) -> tuple[dict[str, Any], dict[str, Array]]:
    """Where the cells of each type stand in the list, and their nodes, types in the order of first appearance."""
    offsets, types = np.asarray(grid.offsets).astype(np.int64, copy=False), np.asarray(grid.types)
    if offsets.ndim != 1 or types.shape != offsets.shape:
        raise MeshError(f"{types.size} cell types for {offsets.size} cells: expected one each.")
    if not len(types):
        return {}, {}
    found, first = np.unique(types, return_index=True)
    names = _KINDS | {k: name for k, (name, _) in _ROWWISE.items()}
    unknown = sorted(int(k) for k in found if int(k) not in names)
    if unknown:
        raise MeshError(
            f"VTK cells of type {', '.join(map(str, unknown))}: not supported (polygons, strips, polyhedra, curves of "
            "higher order): triangulate first."
        )
    widths = np.zeros(256, dtype=np.int64)
    for number, kind in names.items():
        widths[number] = cell_type(kind).nodes
    expected = np.cumsum(widths[types.astype(np.int64)])
    if not np.array_equal(expected, offsets) or expected[-1] != grid.connectivity.size:
        raise MeshError(
            f"the offsets of the cells run to {offsets[-1]} over {grid.connectivity.size} node numbers, but the types "
            f"of the cells need {expected[-1]}."
        )
    where: dict[str, Any] = {}
    cells: dict[str, Array] = {}
    for number in (int(types[i]) for i in np.sort(first)):
        ids: Any = slice(None) if len(found) == 1 else np.flatnonzero(types == number)
        nodes = _nodes(grid.connectivity, expected, ids, int(widths[number]))
        kind = names[number]
        nodes = nodes[:, list(_ROWWISE[number][1])] if number in _ROWWISE else nodes
        where[kind] = ids if kind not in where else np.concatenate([where[kind], ids])
        cells[kind] = nodes if kind not in cells else np.concatenate([cells[kind], nodes])
    return where, cells


def _nodes(connectivity: Array, ends: Array, ids: Any, width: int) -> Array:
    if isinstance(ids, slice):
        return connectivity.reshape(-1, width)
    if ids[-1] - ids[0] + 1 == len(ids):  # one run of cells: no index arithmetic, no copy
        return connectivity[ends[ids[0]] - width : ends[ids[-1]]].reshape(-1, width)
    return connectivity[(ends[ids] - width)[:, None] + np.arange(width)]


def _points(grid: VtkGrid, dimension: int) -> Array:
    mark = grid.field_data.get(_DIMENSION)
    if mark is None:
        return planar(grid.points, dimension)
    if mark.size != 1 or int(mark.flat[0]) not in (1, 2, 3):
        raise MeshError(f"space dimension {mark.tolist()[:4]}: expected 1, 2 or 3.")
    return grid.points[:, : int(mark.flat[0])]


def _held(what: str, values: Array, lost: list[str]) -> Array | None:
    """The values as a dtype that VTK has."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "iu" or (kind == "f" and size in (4, 8)):
        return values
    if kind == "b":
        lost.append(f"{what}: stored as 0 and 1 (no truth values in VTK's files)")
        return values.astype(np.uint8)
    if kind == "f":
        wider = np.dtype(np.float32 if size == 2 else np.float64)
        lost.append(f"{what}: {values.dtype} stored as {wider}")
        return values.astype(wider)
    lost.append(f"{what}: dtype {values.dtype} left out (store real and imaginary parts, or numbers)")
    return None


def _dense(name: str, parts: dict[str, Array], blocks: dict[str, Array], lost: list[str]) -> Array | None:
    """One value for every cell: NaN on the types where the field is not given."""
    given = {kind: _held(f"cell field {name!r}", values, lost) for kind, values in parts.items() if kind in blocks}
    kept = {kind: values for kind, values in given.items() if values is not None}
    missing = blocks.keys() - kept.keys()
    changed = sorted({str(v.dtype) for v in kept.values() if v.dtype != np.float64})
    if missing and kept and changed:
        absent = ", ".join(sorted(missing))
        lost.append(f"cell field {name!r}: {changed[0]} stored as float64, NaN where it is not given ({absent})")
    if any(v.dtype.kind == "f" and len(v) and np.isnan(v).all() for v in kept.values()):
        lost.append(f"cell field {name!r}: left out on the types where all its values are NaN")
    if not kept:
        return None
    shapes = {v.shape[1:] for v in kept.values()}
    if len(shapes) > 1:
        lost.append(f"cell field {name!r}: left out, its values have different shapes {sorted(shapes)}")
        return None
    dense = dense_blocks(kept, {kind: len(nodes) for kind, nodes in blocks.items()})
    return dense[0] if len(dense) == 1 else np.concatenate(dense)


def _flat(where: str, name: str, values: Array, marks: dict[str, Array]) -> Array:
    """Values with at most one axis behind the first; a mark keeps the others."""
    if values.ndim <= 2 and values.shape[1:] != (1,):
        return values
    marks[f"{_SHAPE}{where}:{name}"] = np.array(values.shape[1:], dtype=np.int64)
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def _shaped(where: str, name: str, values: Array, marks: dict[str, Array]) -> Array:
    mark = marks.get(f"{_SHAPE}{where}:{name}")
    if mark is None:
        return values
    shape = tuple(int(k) for k in mark.ravel())
    return values.reshape(shape if where == "global" else (len(values), *shape))


def _marked_sets(mesh: Mesh) -> dict[str, Array]:
    marked = {f"{_OWN}node_set:{name}": ids for name, ids in mesh.node_sets.items()}
    for mark, sets in (("cell_set", mesh.cell_sets), ("facet_set", mesh.facet_sets)):
        for name, parts in sets.items():
            marked |= {f"{_OWN}{mark}:{kind}:{name}": members for kind, members in parts.items()}
    return marked


def _sets_of(fields: dict[str, Array]) -> dict[str, dict[str, dict[str, Array]]]:
    sets: dict[str, dict[str, dict[str, Array]]] = {mark: {} for mark in _SETS}
    for name, values in fields.items():
        mark, _, rest = name.removeprefix(_OWN).partition(":")
        if not name.startswith(_OWN) or mark not in sets:
            continue
        kind, _, own = rest.partition(":") if mark != "node_set" else ("", "", rest)
        width = cell_type(kind).nodes if mark == "facet_set" else 0
        sets[mark].setdefault(own, {})[kind] = values.reshape(-1, width) if width else values.reshape(-1)
    return sets
