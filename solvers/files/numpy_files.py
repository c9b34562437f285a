"""SciPy's and NumPy's own files: sparse ``.npz``, arrays in ``.npz`` and ``.npy``."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from solvers.errors import FileError

__all__ = [
    "array_archive",
    "array_file",
    "chosen",
    "matrix_archive",
    "read_array_archive",
    "read_array_file",
    "read_matrix",
]

#: Names under which a right-hand side or a solution is looked for, in this order.
NAMES = ("b", "rhs", "x", "values")


def read_matrix(path: Path) -> Any:
    """The matrix that `scipy.sparse.save_npz` wrote, in any of its layouts."""
    with np.load(path, allow_pickle=False) as archive:
        if not _is_sparse(archive.files):
            raise FileError(
                f"{path}: holds {', '.join(sorted(archive.files)) or 'nothing'}; expected format, shape, data and "
                "indices, as scipy.sparse.save_npz writes them."
            )
    return scipy.sparse.load_npz(path)


def matrix_archive(matrix: scipy.sparse.csr_array) -> bytes:
    """The file of `scipy.sparse.save_npz`."""
    stream = BytesIO()
    scipy.sparse.save_npz(stream, matrix)
    return stream.getvalue()


def read_array_file(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise FileError(f"{path}: not a NumPy file: write it with numpy.save, or give it the ending of its format.")
    found: np.ndarray = np.load(path, allow_pickle=False)
    return found


def array_file(array: np.ndarray) -> bytes:
    """The file of `numpy.save`."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def read_array_archive(path: Path) -> np.ndarray:
    """The only array of an ``.npz`` file, or the one with the first of the usual names."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise FileError(f"{path}: not an .npz archive: write it with numpy.savez(path, b=b).")
    with np.load(path, allow_pickle=False) as archive:
        if _is_sparse(archive.files):
            raise FileError(f"{path}: holds a sparse matrix: expected a vector, or a few columns. Is it the system?")
        found: np.ndarray = archive[chosen(path, archive.files)]
    return found


def array_archive(array: np.ndarray) -> bytes:
    """The file of `numpy.savez`, with the array under the name x."""
    stream = BytesIO()
    np.savez(stream, x=array)
    return stream.getvalue()


def chosen(path: Path, names: list[str]) -> str:
    """The only name, or the first of the usual ones; raises `FileError` that lists what is there."""
    if len(names) == 1:
        return names[0]
    for name in NAMES:
        if name in names:
            return name
    held = ", ".join(sorted(names)[:8]) or "no array"
    raise FileError(f"{path}: holds {held}; expected a single array, or one named {', '.join(NAMES)}.")


def _is_sparse(names: list[str]) -> bool:
    return {"format", "shape", "data"} <= set(names)
