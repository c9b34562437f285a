"""Write VTK's legacy files, version 5.1, binary."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from meshes.files.vtk_grid import grid_of
from meshes.mesh import Mesh

__all__ = ["write_vtk"]

Array = NDArray[Any]

_TYPES = {
    "u1": "unsigned_char",
    "i1": "char",
    "u2": "unsigned_short",
    "i2": "short",
    "u4": "unsigned_int",
    "i4": "int",
    "u8": "vtktypeuint64",
    "i8": "vtktypeint64",
    "f4": "float",
    "f8": "double",
}
#: What a name may hold unescaped.
_PLAIN = "!#$&'()*+,/:;<=>?@[]^`{|}\\"


def write_vtk(path: Path, mesh: Mesh) -> tuple[str, ...]:
    """Write the mesh; returns in words what the format does not hold."""
    grid, lost = grid_of(mesh)
    with path.open("wb") as file:
        file.write(b"# vtk DataFile Version 5.1\nsciml\nBINARY\nDATASET UNSTRUCTURED_GRID\n")
        _write_fields(file, grid.field_data)
        _write_array(file, f"POINTS {len(grid.points)} {_name(grid.points)}", grid.points)
        count, size = len(grid.types), grid.connectivity.size
        file.write(f"CELLS {count + 1} {size}\n".encode())
        _write_array(file, "OFFSETS vtktypeint64", np.concatenate([[0], grid.offsets]).astype(np.int64))
        _write_array(file, "CONNECTIVITY vtktypeint64", grid.connectivity.astype(np.int64))
        _write_array(file, f"CELL_TYPES {count}", grid.types.astype(np.int32))
        for title, length, data in (("CELL", count, grid.cell_data), ("POINT", len(grid.points), grid.point_data)):
            if data:
                file.write(f"{title}_DATA {length}\n".encode())
                _write_fields(file, data)
    return lost


def _write_fields(file: BinaryIO, data: dict[str, Array]) -> None:
    if not data:
        return
    file.write(f"FIELD FieldData {len(data)}\n".encode())
    for name, values in data.items():
        width = values.shape[1] if values.ndim == 2 else 1
        title = f"{quote(name, safe=_PLAIN)} {width} {len(values)} {_name(values)}"
        _write_array(file, title, values)


def _name(values: Array) -> str:
    return _TYPES[values.dtype.str[1:]]


def _write_array(file: BinaryIO, title: str, values: Array) -> None:
    file.write(title.encode() + b"\n")
    if values.size:
        swapped = np.ascontiguousarray(values.reshape(-1), dtype=values.dtype.newbyteorder(">"))
        file.write(swapped.view(np.uint8).data)
    file.write(b"\n")
