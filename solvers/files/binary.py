"""Raw binary files of simulation codes: compressed rows behind five sizes, vectors behind a count, little-endian.

Matrix: int32 ``rows, columns, entries, outer, inner``; `entries` values, float32 or float64 as the size of the file
tells; `outer` int32 row starts without the last; `entries` int32 columns. Vector: a uint64 count, then as many float64.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse

from solvers.errors import FileError

__all__ = ["matrix_file", "read_array", "read_matrix", "vector_file"]

_SIZES = ("rows", "columns", "entries", "outer", "inner")
_HEAD = 4 * len(_SIZES)
_LARGEST = 2**31 - 1


def read_matrix(path: Path) -> scipy.sparse.csr_array:
    """A matrix in compressed rows."""
    content = path.read_bytes()
    if len(content) < _HEAD:
        raise FileError(f"{path}: {len(content)} bytes: expected {_HEAD} of sizes at least; was it copied completely?")
    rows, columns, nnz, outer, inner = (int(size) for size in np.frombuffer(content, "<i4", len(_SIZES)))
    if min(rows, columns, nnz, outer, inner) < 0 or outer != rows:
        sizes = ", ".join(
            f"{name} {size}" for name, size in zip(_SIZES, (rows, columns, nnz, outer, inner), strict=True)
        )
        raise FileError(
            f"{path}: {sizes}: expected sizes of at least 0, outer = rows; is it a matrix in compressed rows?"
        )
    fitting = {size: _HEAD + 4 * outer + nnz * (4 + size) for size in (4, 8)}
    if nnz == 0 or len(content) not in fitting.values():
        wanted = " or ".join(f"{length} ({8 * size}-bit values)" for size, length in fitting.items())
        raise FileError(
            f"{path}: {len(content)} bytes for {rows} rows and {nnz} entries: expected {wanted}; is it complete, and a "
            "matrix in compressed rows?"
        )
    size = next(size for size, length in fitting.items() if length == len(content))
    values = np.frombuffer(content, f"<f{size}", nnz, _HEAD)
    starts = np.frombuffer(content, "<i4", outer, _HEAD + size * nnz)
    column = np.frombuffer(content, "<i4", nnz, _HEAD + size * nnz + 4 * outer)
    _check_starts(path, starts, nnz)
    _check_columns(path, column, columns, starts)
    return scipy.sparse.csr_array((values, column, np.append(starts, np.int32(nnz))), shape=(rows, columns))


def matrix_file(matrix: scipy.sparse.csr_array) -> bytes:
    """The file of a matrix in float32 or float64."""
    if np.iscomplexobj(matrix.data):
        raise FileError("a .bin file holds no complex values: use .npz, .mtx or .h5.")
    if max(matrix.nnz, *matrix.shape) > _LARGEST:
        raise FileError(f"{matrix.shape[0]} rows and {matrix.nnz} entries: .bin holds at most {_LARGEST}; use .npz.")
    if matrix.nnz == 0:
        raise FileError("a .bin file of a matrix without entries could not be read again: use .npz, .mtx or .h5.")
    sizes = np.array([*matrix.shape, matrix.nnz, matrix.shape[0], matrix.nnz], "<i4")
    values = matrix.data.astype(f"<f{matrix.data.dtype.itemsize}", copy=False)
    parts = (sizes, values, matrix.indptr[:-1].astype("<i4"), matrix.indices.astype("<i4"))
    return b"".join(part.tobytes() for part in parts)


def read_array(path: Path) -> np.ndarray:
    """A vector behind its length."""
    content = path.read_bytes()
    count = int(np.frombuffer(content, "<u8", 1)[0]) if len(content) >= 8 else 0
    if len(content) != 8 + 8 * count:
        raise FileError(
            f"{path}: {len(content)} bytes that begin with the count {count}: expected 8 + 8 · count; is it complete, "
            "and a vector?"
        )
    return np.frombuffer(content, "<f8", count, 8).astype(np.float64)


def vector_file(array: np.ndarray) -> bytes:
    """The file of a real vector; float32 is widened."""
    if np.iscomplexobj(array):
        raise FileError("a .bin file holds no complex values: use .npy or .h5.")
    return np.uint64(array.size).astype("<u8").tobytes() + array.astype("<f8").tobytes()


def _check_starts(path: Path, starts: np.ndarray, nnz: int) -> None:
    ends = np.append(starts[1:], nnz)
    wrong = np.flatnonzero((starts > ends) | (starts < 0))
    if starts.size and starts[0] != 0:
        wrong = np.zeros(1, dtype=np.int64)
    if wrong.size:
        row = int(wrong[0])
        raise FileError(
            f"{path}: row {row} goes from entry {starts[row]} to {ends[row]} of {nnz}: row starts from 0 that never "
            "decrease are expected."
        )


def _check_columns(path: Path, column: np.ndarray, columns: int, starts: np.ndarray) -> None:
    wrong = np.flatnonzero((column < 0) | (column >= columns))
    if wrong.size:
        place = int(wrong[0])
        row = int(np.searchsorted(starts, place, side="right") - 1)
        raise FileError(f"{path}: row {row} has an entry in column {column[place]}: 0 to {columns - 1} is expected.")
