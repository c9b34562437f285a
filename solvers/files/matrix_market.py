"""MatrixMarket, the text format of matrix collections (Boisvert, Pozo & Remington 1996), by SciPy's reader."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse

from solvers.errors import FileError

__all__ = ["read_array", "read_matrix", "text_of"]

#: Most entries of a vector that is stored by its nonzeros: two gigabytes.
_EXPANDED = 2**28


def read_matrix(path: Path) -> scipy.sparse.coo_array:
    """A matrix of either layout, ``coordinate`` or ``array``, with the entries that its symmetry implies."""
    found = _read(path)
    return scipy.sparse.coo_array(found)


def read_array(path: Path) -> np.ndarray:
    """The columns of a vector file; one row or one column is a vector."""
    found: Any = _read(path)
    if hasattr(found, "toarray"):
        rows, columns = found.shape
        if rows * columns > _EXPANDED:
            raise FileError(
                f"{path}: a sparse matrix of {rows} × {columns}: expected a vector, or a few columns. Is it the system?"
            )
        found = found.toarray()
    return np.asarray(found.reshape(-1) if 1 in found.shape else found)


def text_of(matrix: Any, symmetry: Literal["general", "symmetric", "hermitian"] = "general") -> bytes:
    """A sparse matrix, or an array ``(n,)`` or ``(n, k)``, as text that gives back every bit of the numbers."""
    from scipy.io import mmwrite

    if isinstance(matrix, np.ndarray) and matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.size == 0:  # which SciPy calls real in any case
        field = "complex" if np.iscomplexobj(matrix) else "real"
        return f"%%MatrixMarket matrix coordinate {field} general\n{matrix.shape[0]} {matrix.shape[1]} 0\n".encode()
    stream = BytesIO()
    mmwrite(stream, matrix, symmetry=symmetry)
    return stream.getvalue()


def _read(path: Path) -> Any:
    from scipy.io import mminfo, mmread

    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        content = gzip.decompress(content)
    # SciPy's parser reads beyond the end of a text with a zero byte, or with a blank but no line break behind its last
    # number, and takes the process with it.
    if b"\0" in content:
        raise FileError(f"{path}: not a text file, or damaged: it has a zero byte at {content.index(bytes(1))}.")
    content += b"\n"
    rows, columns, entries, layout, field, symmetry = mminfo(BytesIO(content))
    if symmetry != "general" and rows != columns:
        raise FileError(f"{path}: the header says {symmetry}, but the matrix is {rows} × {columns}: mend the header.")
    stored = entries if layout == "coordinate" or symmetry == "general" else entries // 2
    # The reader trusts the header, reserves memory for what it promises, and stops the process if that is nothing.
    if 2 * stored > len(content):
        raise FileError(
            f"{path}: the file ends early: {entries} entries are announced, and {len(content)} bytes are there."
        )
    if rows == 0 or columns == 0:
        return np.zeros((rows, columns), dtype=complex if field == "complex" else float)
    found = mmread(BytesIO(content))
    if layout == "coordinate" and symmetry != "general":
        _require_one_triangle(path, found, symmetry)
    return found


def _require_one_triangle(path: Path, found: Any, symmetry: str) -> None:
    """Raise if an entry comes twice: stored on both sides of the diagonal, it would count twice."""
    keys = np.sort(found.row.astype(np.int64) * found.shape[1] + found.col)
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if twice.size:
        row, column = divmod(int(keys[twice[0]]), found.shape[1])
        raise FileError(
            f"{path}: the header says {symmetry}, but entry ({row + 1}, {column + 1}) or its mirror image comes twice: "
            "such a file stores one triangle only. Write it again, or change the header to general."
        )
