"""Read and write the matrix of a system."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from solvers.errors import FileError, TagError
from solvers.files import binary, hdf5, matrix_market, numpy_files
from solvers.files.atomic import replacing
from solvers.files.opening import ending_of, numbers, reading, require_finite
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["SYSTEM_ENDINGS", "read_system", "write_system"]

Found = tuple[scipy.sparse.sparray, frozenset[str]]


def read_system(path: Path | str) -> CSROperator:
    """Read a sparse matrix from a file.

    ==============  =========================================================================================
    ``.mtx``        MatrixMarket, any field and symmetry, also ``.mtx.gz``; always double precision
    ``.npz``        `scipy.sparse.save_npz`: csr, csc, coo, bsr, dia
    ``.h5, .hdf5``  of `write_system`; AnnData's and h5sparse's groups ``data``, ``indices``, ``indptr``
    ``.bin``        five int32 sizes, values, row starts, columns (see `solvers.files.binary`); real
    ==============  =========================================================================================

    Parameters
    ----------
    path
        The file. Nothing in it is executed.

    Returns
    -------
    CSROperator
        On the CPU, in the file's precision; whole numbers, booleans and patterns become float64. Entries that come
        twice are added. Tagged "symmetric" if it equals its adjoint exactly, and "spd" only if `write_system` was told
        so and kept it (HDF5).

    Raises
    ------
    FileError
        If the file is missing, of an unknown ending, foreign, truncated or damaged, holds Python objects, indices
        outside of the matrix, NaN or infinity, or claims a symmetry that it does not have. (A text file that was cut
        inside its very last number cannot be told from a whole one.)

    Examples
    --------
    >>> import torch
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]))
    >>> write_system("laplacian.npz", A)
    >>> read_system("laplacian.npz").tags
    frozenset({'symmetric'})
    """
    path = Path(path)
    read, _ = _FORMATS[ending_of(path, _FORMATS)]
    with reading(path):
        stored, claimed = read(path)
        return _operator(path, stored, claimed)


def write_system(path: Path | str, A: LinearOperator) -> None:
    """Write a sparse matrix in the format that the ending names, see `read_system`; an old file is replaced at once.

    MatrixMarket stores one triangle of a matrix that equals its adjoint; HDF5 keeps the tags.

    Parameters
    ----------
    path
        Target.
    A
        One matrix with stored entries, on any device.

    Raises
    ------
    TagError
        A is matrix-free.
    ShapeError
        A is a batch.
    FileError
        The ending is unknown, an entry is not finite, the disk is full or the folder cannot be written; an older file
        of this name is left as it was.
    """
    path = Path(path)
    _, content = _FORMATS[ending_of(path, _FORMATS)]
    convert = getattr(A, "to_csr", None)
    if convert is None:
        raise TagError(f"{A!r} has no stored entries: give write_system a CSROperator, or an operator with to_csr()")
    stored: CSROperator = convert()
    matrix = stored.to_scipy()
    require_finite(str(path), matrix.data, _places(matrix))
    with replacing(path) as temporary:
        temporary.write_bytes(content(matrix, frozenset(stored.tags)))


def _operator(path: Path, stored: Any, claimed: frozenset[str]) -> CSROperator:
    if hasattr(stored, "check_format"):
        stored.check_format(full_check=True)  # what follows runs in C and trusts the indices
    stored.data = numbers(str(path), stored.data)
    matrix = scipy.sparse.csr_array(stored)
    matrix.sum_duplicates()
    require_finite(str(path), matrix.data, _places(matrix))
    symmetric = _equals_adjoint(matrix)
    A = CSROperator.from_scipy(matrix, {"symmetric"} if symmetric else ())
    if claimed and not (symmetric or A.is_hermitian()):
        raise FileError(f"{path}: tagged {', '.join(sorted(claimed))}, but A ≠ Aᴴ: write it again without the tags.")
    return CSROperator.from_pattern(A.pattern, A.values, A.tags | claimed)


def _equals_adjoint(matrix: scipy.sparse.csr_array) -> bool:
    """Whether A = Aᴴ, entry by entry and bit by bit."""
    if matrix.shape[0] != matrix.shape[1]:
        return False
    return not (matrix - matrix.conj().T).data.any()


def _places(matrix: scipy.sparse.csr_array) -> Callable[[int], tuple[int, int]]:
    """Row and column of the k-th stored entry."""

    def place(k: int) -> tuple[int, int]:
        return int(np.searchsorted(matrix.indptr, k, side="right") - 1), int(matrix.indices[k])

    return place


def _market_text(matrix: scipy.sparse.csr_array, tags: frozenset[str]) -> bytes:
    if not (matrix.nnz and _equals_adjoint(matrix)):
        return matrix_market.text_of(matrix)
    return matrix_market.text_of(matrix, "hermitian" if np.iscomplexobj(matrix.data) else "symmetric")


def _untagged(read: Callable[[Path], scipy.sparse.sparray]) -> Callable[[Path], Found]:
    return lambda path: (read(path), frozenset())


_MARKET = _untagged(matrix_market.read_matrix)
_FORMATS: dict[str, tuple[Callable[[Path], Found], Callable[[scipy.sparse.csr_array, frozenset[str]], bytes]]] = {
    ".mtx": (_MARKET, _market_text),
    ".mtx.gz": (_MARKET, lambda matrix, tags: gzip.compress(_market_text(matrix, tags), mtime=0)),
    ".npz": (_untagged(numpy_files.read_matrix), lambda matrix, tags: numpy_files.matrix_archive(matrix)),
    ".bin": (_untagged(binary.read_matrix), lambda matrix, tags: binary.matrix_file(matrix)),
    ".h5": (hdf5.read_matrix, hdf5.matrix_file),
    ".hdf5": (hdf5.read_matrix, hdf5.matrix_file),
}
SYSTEM_ENDINGS = tuple(_FORMATS)
