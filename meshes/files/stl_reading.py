"""Read STL, binary and text: triangles whose corners are joined where all their digits agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.vtu_arrays import numbers_from_text
from meshes.mesh import Mesh

__all__ = ["read_stl"]

Array = NDArray[Any]

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_NUMBER = rb"[-+]?(?:nan|inf(?:inity)?|[0-9.]+(?:e[-+]?[0-9]+)?)"
_VERTEX = re.compile(rb"\bvertex\s+(%b\s+%b\s+%b)" % (_NUMBER, _NUMBER, _NUMBER), re.IGNORECASE)


def read_stl(path: Path) -> Mesh:
    """The triangles of an STL file: float32 from binary, float64 from text; errors do not name the file.

    Normals are not kept: the order of the corners says the same.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    # Binary files may begin with "solid", too: their size decides.
    if len(data) >= 84 and len(data) == 84 + _RECORD.itemsize * count:
        corners = np.frombuffer(data, dtype=_RECORD, offset=84)["corners"].reshape(-1, 3)
    elif data.lstrip()[:5].lower() == b"solid":
        corners = _from_text(data)
    else:
        raise MeshFileError(
            f"neither text (solid ...) nor binary STL: it has {len(data)} bytes, {count} triangles take "
            f"{84 + _RECORD.itemsize * count}; is it cut off?"
        )
    if not len(corners):
        raise MeshFileError("no triangles in it.")
    points, nodes = _joined(corners)
    return Mesh(points, {"triangle": nodes.reshape(-1, 3)})


def _from_text(data: bytes) -> Array:
    if b"endsolid" not in data[-200:].lower():
        raise MeshFileError("the file ends early: no 'endsolid' at its end.")
    found = _VERTEX.findall(data)
    facets = len(re.findall(rb"\bouter\s+loop\b", data, re.IGNORECASE))
    if len(found) != 3 * facets:
        raise MeshFileError(f"{facets} facets and {len(found)} vertices: expected three each; damaged.")
    return numbers_from_text("vertex", b" ".join(found), np.dtype(np.float64)).reshape(-1, 3)


def _joined(corners: Array) -> tuple[Array, Array]:
    """Different points in the order of their first appearance, and the number of each corner's point."""
    # Adding zero turns -0.0 into 0.0, so that rows are equal when their bytes are.
    rows = np.ascontiguousarray(corners + corners.dtype.type(0), dtype=corners.dtype.newbyteorder("="))
    keys = rows.view(np.dtype((np.void, rows.itemsize * 3))).reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rows[first[order]], rank[which.reshape(-1)]
