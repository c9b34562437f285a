"""HDF5: our own layout, which keeps the tags, and those of AnnData and h5sparse.

Ours, schema 1: datasets ``crow``, ``col``, ``values``, ``shape`` with checksums; attributes of the root ``format``,
``schema`` and ``tags``. A vector is one dataset, ``x``.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from solvers.errors import FileError
from solvers.files.numpy_files import chosen
from solvers.files.opening import numbers

if TYPE_CHECKING:
    import h5py

__all__ = ["matrix_file", "read_array", "read_matrix", "vector_file"]

_FORMAT, _SCHEMA = b"sciml sparse matrix", 1
#: The file format since HDF5 1.10 has checksums in its headers; over damaged ones of older formats the library may
#: never come back, nor over texts of variable length.
_CHECKED = ("v110", "v110")
_OURS = ("crow", "col", "values", "shape")
_THEIRS = ("data", "indices", "indptr")


def read_matrix(path: Path) -> tuple[scipy.sparse.sparray, frozenset[str]]:
    """A matrix in one of the layouts, and the tags that ours claims."""
    import h5py

    with h5py.File(path, "r") as file:
        if file.attrs.get("format") == _FORMAT:
            return _read_ours(path, file)
        groups = [file] if _is_compressed(file) else []
        file.visititems(lambda _, node: groups.append(node) if _is_compressed(node) else None)
        if len(groups) != 1:
            held = ", ".join(sorted(file)[:8]) or "nothing"
            found = f"{len(groups)} sparse matrices" if groups else "no sparse matrix"
            raise FileError(
                f"{path}: {found} in it (it holds {held}); expected the datasets {', '.join(_OURS)} of write_system, "
                f"or one group with {', '.join(_THEIRS)} and the attribute shape."
            )
        return _read_theirs(path, groups[0]), frozenset()


def matrix_file(matrix: scipy.sparse.csr_array, tags: frozenset[str]) -> bytes:
    """A matrix in our own layout."""
    import h5py

    # Built in memory: the HDF5 library itself crashes when the disk fills up under it.
    image = BytesIO()
    with h5py.File(image, "w", libver=_CHECKED) as file:
        file.attrs.update(format=np.bytes_(_FORMAT), schema=_SCHEMA, tags=np.bytes_(json.dumps(sorted(tags))))
        parts: tuple[np.ndarray, ...] = (
            matrix.indptr,
            matrix.indices,
            matrix.data,
            np.array(matrix.shape, dtype=np.int64),
        )
        for name, part in zip(_OURS, parts, strict=True):
            _store(file, name, part)
    return image.getvalue()


def read_array(path: Path) -> np.ndarray:
    """The only array of numbers in the file, or the one with the first of the usual names."""
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, node: names.append(name) if _is_array(node) else None)
        if file.attrs.get("format") == _FORMAT or _is_compressed(file):
            raise FileError(f"{path}: holds a sparse matrix: expected a vector, or a few columns. Is it the system?")
        found: np.ndarray = file[chosen(path, names)][()]
    return found


def vector_file(array: np.ndarray) -> bytes:
    """An array as the dataset ``x``."""
    import h5py

    image = BytesIO()
    with h5py.File(image, "w", libver=_CHECKED) as file:
        _store(file, "x", array)
    return image.getvalue()


def _store(file: h5py.File, name: str, array: np.ndarray) -> None:
    file.create_dataset(name, data=array, **({"chunks": True, "fletcher32": True} if array.size else {}))


def _read_ours(path: Path, file: h5py.File) -> tuple[scipy.sparse.csr_array, frozenset[str]]:
    schema = int(file.attrs["schema"])
    if schema > _SCHEMA:
        raise FileError(f"{path}: schema {schema}, this version reads {_SCHEMA}: update sciml-pde.")
    crow, col, values, shape = (file[name][()] for name in _OURS)
    matrix = scipy.sparse.csr_array((numbers(str(path), values), col, crow), shape=_pair(shape))
    return matrix, frozenset(json.loads(file.attrs["tags"]))


def _read_theirs(path: Path, group: h5py.Group) -> scipy.sparse.sparray:
    kind = str(group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", "csr"))).removesuffix("_matrix")
    if kind not in ("csr", "csc"):
        raise FileError(f"{path}: group {group.name} is of format {kind!r}: expected csr or csc.")
    make = scipy.sparse.csr_array if kind == "csr" else scipy.sparse.csc_array
    data, indices, indptr = (group[name][()] for name in _THEIRS)
    matrix: Any = make((numbers(str(path), data), indices, indptr), shape=_pair(_shape(path, group)))
    return matrix


def _shape(path: Path, group: h5py.Group) -> Any:
    for name in ("shape", "h5sparse_shape"):
        if name in group.attrs:
            return group.attrs[name]
    if "shape" in group:
        return group["shape"][()]
    raise FileError(f"{path}: group {group.name} has no attribute shape (or h5sparse_shape): add it.")


def _pair(shape: Any) -> tuple[int, int]:
    rows, columns = shape
    return int(rows), int(columns)


def _is_compressed(node: Any) -> bool:
    import h5py

    return isinstance(node, h5py.Group) and all(name in node for name in _THEIRS)


def _is_array(node: Any) -> bool:
    import h5py

    return isinstance(node, h5py.Dataset) and node.ndim > 0 and node.dtype.kind in "biufc"
