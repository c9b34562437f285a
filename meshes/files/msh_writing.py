"""Write Gmsh's files, version 4.1, binary: sets as physical groups, one entity for every combination of sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshFileError
from meshes.files.gmsh_types import GMSH_ORDER, GMSH_TYPES
from meshes.files.tagging import facets_as_cells, families, nodes_as_vertices
from meshes.mesh import Mesh

__all__ = ["write_msh"]

Array = NDArray[Any]
#: Dimension and tag of an entity; cells of one kind in it; the physical groups it is in.
Part = tuple[int, int, str, Array, list[int]]

_COMPONENTS = (1, 3, 9)


def write_msh(path: Path, mesh: Mesh) -> None:
    """Write the mesh as far as the format goes: points, cells, float64 fields of 1, 3 or 9 components, named sets."""
    points = np.zeros((len(mesh.points), 3))
    points[:, : mesh.space_dimension] = mesh.points
    whole = nodes_as_vertices(facets_as_cells(mesh))
    parts, names = _parts(whole)
    starts = dict(zip(whole.cells, np.cumsum([1, *(len(v) for v in whole.cells.values())]), strict=False))
    with path.open("wb") as file:
        file.write(b"$MeshFormat\n4.1 1 8\n" + np.array([1], dtype="<i4").tobytes() + b"\n$EndMeshFormat\n")
        _write_names(file, names)
        _write_entities(file, parts, points)
        _write_nodes(file, points, max((part[0] for part in parts), default=0))
        _write_elements(file, whole, parts, starts)
        for name, nodal in mesh.point_data.items():
            _write_field(file, "NodeData", name, np.arange(1, len(points) + 1), _flat(nodal))
        for name, given in mesh.cell_data.items():
            tags, values = _rows_of(starts, given)
            _write_field(file, "ElementData", name, tags, _flat(values))


def _parts(mesh: Mesh) -> tuple[list[Part], dict[tuple[int, str], int]]:
    """Cells by type and combination of sets, and the tag of every (dimension, name)."""
    names: dict[tuple[int, str], int] = {}
    for name, blocks in mesh.cell_sets.items():
        for dimension in {cell_type(kind).dimension for kind in blocks} or {mesh.dimension}:
            names[dimension, name] = len(names) + 1
    numbers, combinations = families({k: len(v) for k, v in mesh.cells.items()}, mesh.cell_sets, 1)
    parts: list[Part] = []
    for kind, nodes in mesh.cells.items():
        dimension = cell_type(kind).dimension
        for family in np.unique(numbers[kind]) if len(nodes) else []:
            groups = [names[dimension, name] for name in combinations.get(int(family), [])]
            parts.append((dimension, int(family) + 1, kind, np.flatnonzero(numbers[kind] == family), groups))
    return parts, names


def _write_names(file: BinaryIO, names: dict[tuple[int, str], int]) -> None:
    if not names:
        return
    if any('"' in name or "\n" in name for _, name in names):
        raise MeshFileError("a set has a quotation mark or a line break in its name: rename it.")
    lines = [f'{dimension} {tag} "{name}"' for (dimension, name), tag in names.items()]
    file.write("\n".join(["$PhysicalNames", str(len(lines)), *lines, "$EndPhysicalNames\n"]).encode())


def _write_entities(file: BinaryIO, parts: list[Part], points: Array) -> None:
    entities = {(dimension, tag): groups for dimension, tag, _, _, groups in parts}
    entities = entities or {(0, 1): []}
    finite = points[np.isfinite(points).all(axis=1)]
    box = np.concatenate([finite.min(axis=0), finite.max(axis=0)]) if len(finite) else np.zeros(6)
    file.write(b"$Entities\n")
    file.write(np.array([sum(d == own for own, _ in entities) for d in range(4)], dtype="<u8").tobytes())
    for (dimension, tag), groups in sorted(entities.items()):
        file.write(np.array([tag], dtype="<i4").tobytes() + box[: 6 if dimension else 3].astype("<f8").tobytes())
        file.write(np.array([len(groups)], dtype="<u8").tobytes() + np.array(groups, dtype="<i4").tobytes())
        if dimension:
            file.write(np.array([0], dtype="<u8").tobytes())
    file.write(b"\n$EndEntities\n")


def _write_nodes(file: BinaryIO, points: Array, dimension: int) -> None:
    count = len(points)
    file.write(b"$Nodes\n" + np.array([1, count, min(count, 1), count], dtype="<u8").tobytes())
    file.write(np.array([dimension, 1, 0], dtype="<i4").tobytes() + np.array([count], dtype="<u8").tobytes())
    file.write(np.arange(1, count + 1, dtype="<u8").tobytes())
    file.write(np.ascontiguousarray(points, dtype="<f8").tobytes())
    file.write(b"\n$EndNodes\n")


def _write_elements(file: BinaryIO, mesh: Mesh, parts: list[Part], starts: dict[str, Any]) -> None:
    """Elements by entity; their tags keep the order of the cells."""
    count = sum(len(part[3]) for part in parts)
    file.write(b"$Elements\n" + np.array([len(parts), count, min(count, 1), count], dtype="<u8").tobytes())
    for dimension, tag, kind, ids, _ in parts:
        file.write(np.array([dimension, tag, GMSH_TYPES[kind]], dtype="<i4").tobytes())
        file.write(np.array([len(ids)], dtype="<u8").tobytes())
        table = np.empty((len(ids), 1 + cell_type(kind).nodes), dtype="<u8")
        table[:, 0] = starts[kind] + ids
        table[:, 1 + np.array(GMSH_ORDER.get(kind, range(cell_type(kind).nodes)))] = mesh.cells[kind][ids] + 1
        file.write(table.tobytes())
    file.write(b"\n$EndElements\n")


def _rows_of(starts: dict[str, Any], given: dict[str, Array]) -> tuple[Array, Array | None]:
    """Element tags and values of a cell field on the types where it is given; facets added as cells have none."""
    parts = {kind: values for kind, values in given.items() if len(values)}
    if not parts or len({values.shape[1:] for values in parts.values()}) > 1:
        return np.zeros(0, dtype=np.int64), None
    tags = [starts[kind] + np.arange(len(values)) for kind, values in parts.items()]
    return np.concatenate(tags), np.concatenate(list(parts.values()))


def _flat(values: Array | None) -> Array | None:
    """Values of 1, 3 or 9 components, the only ones Gmsh has: plane vectors become vectors in space; else None."""
    if values is None or values.dtype.kind not in "biuf" or not values.size:
        return None
    flat = values.reshape(len(values), -1).astype(np.float64)
    flat = np.pad(flat, ((0, 0), (0, 1))) if flat.shape[1] == 2 else flat
    return flat if flat.shape[1] in _COMPONENTS else None


def _write_field(file: BinaryIO, section: str, name: str, tags: Array, values: Array | None) -> None:
    if values is None:
        return
    if '"' in name or "\n" in name:
        raise MeshFileError(f"the field {name!r} has a quotation mark or a line break in its name: rename it.")
    count, width = values.shape
    file.write(f'${section}\n1\n"{name}"\n1\n0.0\n3\n0\n{width}\n{count}\n'.encode())
    table = np.empty(count, dtype=[("tag", "<i4"), ("values", "<f8", (width,))])
    table["tag"], table["values"] = tags, values
    file.write(table.tobytes() + f"\n$End{section}\n".encode())
