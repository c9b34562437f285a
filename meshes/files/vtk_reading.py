"""Read VTK's legacy files of unstructured grids and surfaces, versions 1 to 5.1, binary and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.cursor import Cursor
from meshes.files.vtk_grid import VtkGrid, mesh_of
from meshes.interchange.pyvista_meshes import VTK_TYPES
from meshes.mesh import Mesh

__all__ = ["legacy_dataset", "read_vtk"]

Array = NDArray[Any]

#: VTK's types of the cells of a surface by list and number of nodes; others are polygons and polylines.
_SURFACE = {
    "VERTICES": {1: VTK_TYPES["vertex"]},
    "LINES": {2: VTK_TYPES["line"]},
    "POLYGONS": {3: VTK_TYPES["triangle"], 4: VTK_TYPES["quad"]},
    "TRIANGLE_STRIPS": {3: VTK_TYPES["triangle"]},
}
_POLYGON = 7
_COMPONENTS = {"VECTORS": 3, "NORMALS": 3, "TENSORS": 9, "TENSORS6": 6, "GLOBAL_IDS": 1, "PEDIGREE_IDS": 1}


@dataclass
class _Sections:
    """What has been read so far."""

    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    cells: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    counted: tuple[int, Array] | None = None
    types: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    data: dict[str, dict[str, Array]] = field(default_factory=lambda: {"FIELD": {}, "POINT_DATA": {}, "CELL_DATA": {}})


def legacy_dataset(path: Path) -> str:
    """The word behind ``DATASET`` in the first lines of a legacy file; empty if there is none."""
    with path.open("rb") as file:
        words = file.read(4096).split()
    return words[words.index(b"DATASET") + 1].decode("latin-1") if b"DATASET" in words[:-1] else ""


def read_vtk(path: Path) -> Mesh:
    """The mesh of a legacy ``.vtk`` file of an unstructured grid or a surface; errors do not name the file."""
    cursor = Cursor(path.read_bytes(), ">")
    title = cursor.line()
    if not title.startswith("# vtk DataFile Version"):
        raise MeshFileError(f"the first line is {title[:40]!r}, expected '# vtk DataFile Version ...'.")
    cursor.line()
    mode = cursor.line().strip().upper()
    if mode not in ("ASCII", "BINARY"):
        raise MeshFileError(f"the third line is {mode[:40]!r}, expected ASCII or BINARY.")
    cursor.binary = mode == "BINARY"
    sections = _Sections()
    where, count, kind = "FIELD", 0, ""
    while words := cursor.words():
        name = words[0].upper()
        if name == "DATASET":
            kind = cursor.text(words, 1).upper()
            if kind not in ("UNSTRUCTURED_GRID", "POLYDATA"):
                raise MeshFileError(f"a data set {kind!r}, expected UNSTRUCTURED_GRID or POLYDATA.")
        elif name in ("POINT_DATA", "CELL_DATA"):
            where, count = name, cursor.count(words, 1)
        elif name == "METADATA":
            cursor.skip_paragraph()
        elif not _geometry(cursor, sections, name, words):
            _attribute(cursor, sections.data[where], name, words, count)
    return mesh_of(_grid(sections))


def _geometry(cursor: Cursor, sections: _Sections, name: str, words: list[str]) -> bool:
    """Read the section if it is one of points or cells."""
    if name == "POINTS":
        sections.points = cursor.array(3 * cursor.count(words, 1), cursor.text(words, 2)).reshape(-1, 3)
    elif name == "CELL_TYPES":
        sections.types = cursor.array(cursor.count(words, 1), "int")
    elif name == "CELLS" or name in _SURFACE:
        count, size = cursor.count(words, 1), cursor.count(words, 2)
        if cursor.next_word() == "OFFSETS":
            ends = cursor.array(count, cursor.text(cursor.words(), 1))
            sections.cells[name] = ends[1:], cursor.array(size, cursor.text(cursor.words(), 1))
        elif name == "CELLS":
            sections.counted = count, cursor.array(size, "int")
        else:
            sections.cells[name] = _uniform(name, count, cursor.array(size, "int"))
    else:
        return False
    return True


def _attribute(cursor: Cursor, data: dict[str, Array], name: str, words: list[str], count: int) -> None:
    """Read one array of points or cells, or a group of arrays."""
    if name == "FIELD":
        for _ in range(cursor.count(words, 2)):
            _field_array(cursor, data)
        return
    if name == "LOOKUP_TABLE":
        cursor.array(4 * cursor.count(words, 2), "unsigned_char" if cursor.binary else "float")
        return
    own, kind = unquote(cursor.text(words, 1)), cursor.text(words, 2)
    width = _COMPONENTS.get(name, 1)
    if name == "SCALARS":
        width = cursor.count(words, 3) if len(words) > 3 else 1
        if cursor.next_word() == "LOOKUP_TABLE":
            cursor.words()
    elif name == "COLOR_SCALARS":
        width, kind = cursor.count(words, 2), "unsigned_char" if cursor.binary else "float"
    elif name == "TEXTURE_COORDINATES":
        width, kind = cursor.count(words, 2), cursor.text(words, 3)
    elif name not in _COMPONENTS:
        raise MeshFileError(f"a section {name[:40]!r}: not one of a VTK file, or the one before is damaged.")
    data[own] = _shaped(cursor.array(width * count, kind), width, count)


def _field_array(cursor: Cursor, data: dict[str, Array]) -> None:
    words = cursor.words()
    if words and words[0] == "METADATA":
        cursor.skip_paragraph()
        words = cursor.words()
    width, count = cursor.count(words, 1), cursor.count(words, 2)
    kind = cursor.text(words, 3)
    if kind == "string":
        cursor.skip_strings(width * count)
        return
    data[unquote(words[0])] = _shaped(cursor.array(width * count, kind), width, count)


def _shaped(values: Array, width: int, count: int) -> Array:
    return values if width == 1 else values.reshape(count, width)


def _uniform(name: str, count: int, numbers: Array) -> tuple[Array, Array]:
    """Where cells end, and their nodes, from one list of sizes and nodes with the same size throughout."""
    width = int(numbers[0]) if numbers.size else 0
    if count * (width + 1) != numbers.size or (numbers[:: width + 1] != width).any():
        raise MeshFileError(f"{name} of several sizes in the layout before VTK 5: write it again with a newer VTK.")
    return np.arange(1, count + 1) * width, numbers.reshape(count, width + 1)[:, 1:].ravel()


def _grid(sections: _Sections) -> VtkGrid:
    field_data = sections.data["FIELD"]
    fields = sections.data["POINT_DATA"], sections.data["CELL_DATA"], field_data
    if "CELLS" in sections.cells:
        ends, nodes = sections.cells["CELLS"]
        return VtkGrid(sections.points, nodes, ends, sections.types, *fields)
    if sections.counted is not None:
        ends, nodes = _uncounted(*sections.counted, sections.types)
        return VtkGrid(sections.points, nodes, ends, sections.types, *fields)
    parts = [(name, *sections.cells[name]) for name in _SURFACE if name in sections.cells]
    starts = np.cumsum([0, *(nodes.size for _, _, nodes in parts)])
    none = np.zeros(0, dtype=np.int64)
    return VtkGrid(
        sections.points,
        np.concatenate([none, *(nodes for _, _, nodes in parts)]),
        np.concatenate([none, *(ends + start for (_, ends, _), start in zip(parts, starts, strict=False))]),
        np.concatenate([none, *(_surface_types(name, ends) for name, ends, _ in parts)]),
        *fields,
    )


def _surface_types(name: str, ends: Array) -> Array:
    sizes = np.diff(ends, prepend=0)
    kinds = np.full(len(sizes), _POLYGON, dtype=np.int64)
    for size, kind in _SURFACE[name].items():
        kinds[sizes == size] = kind
    return kinds


def _uncounted(count: int, numbers: Array, types: Array) -> tuple[Array, Array]:
    """Where cells end, and their nodes, from the list before VTK 5: the size of every cell before its nodes."""
    from meshes.cell_types import cell_type

    widths = np.zeros(256, dtype=np.int64)
    for kind, number in VTK_TYPES.items():
        widths[number] = cell_type(kind).nodes
    # Axis-parallel rectangles and boxes, which the grid turns into general cells.
    widths[[8, 11]] = 4, 8
    if len(types) != count or (count and not 0 <= types.min() <= types.max() < 256):
        raise MeshFileError(f"{count} cells and {len(types)} cell types: expected one each, from 0 to 255.")
    sizes = widths[types]
    unknown = sorted(set(types[sizes == 0].tolist()))
    if unknown:
        raise MeshFileError(f"VTK cells of type {unknown}: not supported: triangulate first.")
    heads = np.cumsum(sizes + 1) - sizes - 1
    if int(sizes.sum()) + count != numbers.size or (numbers[heads] != sizes).any():
        raise MeshFileError("the sizes before the cells do not fit their types: damaged.")
    keep = np.ones(numbers.size, dtype=bool)
    keep[heads] = False
    return np.cumsum(sizes), numbers[keep]
