"""Write VTU: raw appended arrays, which VTK, ParaView and meshio read, without a copy of the arrays in text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.vtk_grid import VtkGrid, grid_of
from meshes.mesh import Mesh

__all__ = ["write_vtu"]

Array = NDArray[Any]

_TYPES = {"i": "Int", "u": "UInt", "f": "Float"}
#: What XML 1.0 has no characters for.
_FORBIDDEN = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


def write_vtu(path: Path, mesh: Mesh) -> tuple[str, ...]:
    """Write the mesh; returns in words what the format does not hold."""
    grid, lost = grid_of(mesh)
    arrays: list[Array] = []
    head = _head(grid, arrays)
    with path.open("wb") as file:
        file.write(head.encode())
        for array in arrays:
            _write_array(file, array)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")
    return lost


def _head(grid: VtkGrid, arrays: list[Array]) -> str:
    """The XML before the arrays; fills the list in the order of their offsets."""
    order = "LittleEndian" if sys.byteorder == "little" else "BigEndian"
    offset = 0

    def array(name: str, values: Array, tuples: bool = False) -> str:
        nonlocal offset
        if _FORBIDDEN.search(name):
            raise MeshFileError(f"the name {name!r} has characters that XML cannot hold: rename the field or set.")
        width = values.shape[1] if values.ndim == 2 else 1
        kind = f"{_TYPES[values.dtype.kind]}{8 * values.dtype.itemsize}"
        counted = f' NumberOfTuples="{len(values)}"' if tuples else ""
        text = (
            f'<DataArray type="{kind}" Name={quoteattr(name)} NumberOfComponents="{width}"{counted} '
            f'format="appended" offset="{offset}"/>'
        )
        arrays.append(values)
        offset += 8 + values.nbytes
        return text

    def section(tag: str, data: dict[str, Array], tuples: bool = False) -> list[str]:
        return [f"<{tag}>", *(array(name, values, tuples) for name, values in data.items()), f"</{tag}>"]

    cells = {"connectivity": grid.connectivity, "offsets": grid.offsets, "types": grid.types}
    lines = [
        '<?xml version="1.0"?>',
        f'<VTKFile type="UnstructuredGrid" version="1.0" byte_order="{order}" header_type="UInt64">',
        "<UnstructuredGrid>",
        *section("FieldData", grid.field_data, tuples=True),
        f'<Piece NumberOfPoints="{len(grid.points)}" NumberOfCells="{len(grid.types)}">',
        *section("PointData", grid.point_data),
        *section("CellData", grid.cell_data),
        *section("Points", {"Points": grid.points}),
        *section("Cells", cells),
        "</Piece>",
        "</UnstructuredGrid>",
        '<AppendedData encoding="raw">',
    ]
    return "\n".join(lines) + "\n_"


def _write_array(file: BinaryIO, values: Array) -> None:
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    file.write(np.array([native.nbytes], dtype=np.uint64).tobytes())
    if native.nbytes:
        file.write(native.reshape(-1).view(np.uint8).data)
