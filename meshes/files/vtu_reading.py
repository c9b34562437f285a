"""Read VTU, VTK's XML file of unstructured grids: every piece, encoding and compression but lz4."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.opening import MeshFileWarning
from meshes.files.vtk_grid import VtkGrid, mesh_of
from meshes.files.vtu_arrays import Appended, ArrayReader, unzipped_xz, unzipped_zlib
from meshes.files.xml_head import parse_xml
from meshes.mesh import Mesh

__all__ = ["read_vtu"]

Array = NDArray[Any]

_SECTION = b"<AppendedData"
_CHUNK = 2**20
_COMPRESSORS = {"": None, "vtkZLibDataCompressor": unzipped_zlib, "vtkLZMADataCompressor": unzipped_xz}


def read_vtu(path: Path) -> Mesh:
    """The mesh of a ``.vtu`` file; errors do not name the file (`meshes.files.opening.reading` does)."""
    with path.open("rb") as file:
        root, appended = _head(file, path.stat().st_size)
        if root.tag != "VTKFile" or root.get("type") != "UnstructuredGrid":
            found = root.get("type") if root.tag == "VTKFile" else f"<{root.tag[:40]}>"
            raise MeshFileError(f"XML of {found}, expected a VTKFile of type UnstructuredGrid.")
        grid = root.find("UnstructuredGrid")
        if grid is None:
            raise MeshFileError("no <UnstructuredGrid> in it: the file ends early or was written by hand.")
        arrays = _array_reader(root, appended)
        pieces = [_piece(path, arrays, piece) for piece in grid.findall("Piece")]
        field_data = _section(path, arrays, grid.find("FieldData"))
    if not pieces:
        raise MeshFileError("no <Piece> in it, expected at least one.")
    return mesh_of(_joined(pieces, field_data))


def _head(file: BinaryIO, size: int) -> tuple[Element, Appended | None]:
    """The XML and, if there is one, the section of appended bytes."""
    text = bytearray()
    while (at := text.find(_SECTION, max(0, len(text) - _CHUNK - len(_SECTION)))) < 0:
        chunk = file.read(_CHUNK)
        if not chunk:
            return parse_xml(bytes(text)), None
        text += chunk
    text += file.read(_CHUNK)
    close, mark = text.find(b">", at), text.find(b"_", at)
    if close < 0 or mark < 0 or text[close + 1 : mark].strip():
        raise MeshFileError("the appended section does not begin with an underscore: damaged.")
    root = parse_xml(bytes(text[: close + 1]) + b"</AppendedData></VTKFile>")
    section = root.find("AppendedData")
    raw = section is not None and section.get("encoding") == "raw"
    return root, Appended(file, mark + 1, size - mark - 1, raw)


def _array_reader(root: Element, appended: Appended | None) -> ArrayReader:
    orders: dict[str, Literal["<", ">"]] = {"LittleEndian": "<", "BigEndian": ">"}
    order, header = root.get("byte_order", "LittleEndian"), root.get("header_type", "UInt32")
    compressor = root.get("compressor", "")
    if order not in orders or header not in ("UInt32", "UInt64"):
        raise MeshFileError(f"byte order {order!r}, header {header!r}: expected {', '.join(orders)}; UInt32, UInt64.")
    if compressor not in _COMPRESSORS:
        known = ", ".join(name for name in _COMPRESSORS if name)
        raise MeshFileError(f"compressed with {compressor!r}: expected {known}, or nothing: write it again so.")
    sizes = np.dtype("u4" if header == "UInt32" else "u8").newbyteorder(orders[order])
    return ArrayReader(orders[order], sizes, _COMPRESSORS[compressor], appended)


def _piece(path: Path, arrays: ArrayReader, piece: Element) -> VtkGrid:
    points, cells = int(piece.get("NumberOfPoints", -1)), int(piece.get("NumberOfCells", -1))
    if points < 0 or cells < 0:
        raise MeshFileError(f"a piece of {points} points and {cells} cells: expected counts of at least 0.")
    coordinates = piece.find("Points/DataArray")
    named = {element.get("Name", ""): element for element in piece.findall("Cells/DataArray")}
    missing = [name for name in ("connectivity", "offsets", "types") if name not in named]
    if cells and missing:
        raise MeshFileError(f"a piece with cells but without {', '.join(missing)}.")
    none = np.zeros(0, dtype=np.int64)
    xyz = np.zeros((0, 3)) if coordinates is None else arrays.read(coordinates, points)
    if xyz.ndim != 2 or xyz.shape != (points, 3):
        raise MeshFileError(f"{points} points announced, coordinates {xyz.shape} found: expected ({points}, 3).")
    return VtkGrid(
        xyz,
        arrays.read(named["connectivity"]) if cells else none,
        arrays.read(named["offsets"], cells) if cells else none,
        arrays.read(named["types"], cells) if cells else none,
        _section(path, arrays, piece.find("PointData"), points),
        _section(path, arrays, piece.find("CellData"), cells),
    )


def _section(path: Path, arrays: ArrayReader, section: Element | None, tuples: int | None = None) -> dict[str, Array]:
    """The arrays of numbers by name; texts are passed over with a warning."""
    found = {}
    for element in section.findall("DataArray") + section.findall("Array") if section is not None else []:
        name = element.get("Name", "")
        if element.get("type") in ("String", "Bit"):
            warnings.warn(f"{path}: array {name!r} of type {element.get('type')}: passed over.", MeshFileWarning, 5)
            continue
        found[name] = arrays.read(element, tuples)
    return found


def _joined(pieces: list[VtkGrid], field_data: dict[str, Array]) -> VtkGrid:
    if len(pieces) == 1:
        (p,) = pieces
        return VtkGrid(p.points, p.connectivity, p.offsets, p.types, p.point_data, p.cell_data, field_data)
    starts = np.cumsum([0, *(len(p.points) for p in pieces)])
    ends = np.cumsum([0, *(p.connectivity.size for p in pieces)])
    return VtkGrid(
        np.concatenate([p.points for p in pieces]),
        np.concatenate([_within(p) + start for p, start in zip(pieces, starts, strict=False)]),
        np.concatenate([p.offsets.astype(np.int64) + end for p, end in zip(pieces, ends, strict=False)]),
        np.concatenate([p.types for p in pieces]),
        _common([p.point_data for p in pieces]),
        _common([p.cell_data for p in pieces]),
        field_data,
    )


def _within(piece: VtkGrid) -> Array:
    """Node numbers of a piece, which must stay inside it, or the next piece's points would be used."""
    nodes = piece.connectivity.astype(np.int64)
    if nodes.size and not 0 <= nodes.min() <= nodes.max() < len(piece.points):
        raise MeshFileError(f"node numbers from {nodes.min()} to {nodes.max()} in a piece of {len(piece.points)}.")
    return nodes


def _common(parts: list[dict[str, Array]]) -> dict[str, Array]:
    names = set.intersection(*(set(part) for part in parts))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name in names}
