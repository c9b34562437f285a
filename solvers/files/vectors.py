"""Read and write right-hand sides and solutions."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from solvers.errors import DTypeError, FileError
from solvers.files import binary, hdf5, matrix_market, numpy_files, plain_text
from solvers.files.atomic import replacing
from solvers.files.opening import ending_of, numbers, reading, require_finite
from solvers.operators.linear_operator import DTYPES

__all__ = ["VECTOR_ENDINGS", "read_vector", "write_vector"]


def read_vector(path: Path | str) -> Tensor:
    """Read a vector, or several as columns, from a file.

    ==============  ===========================================================================================
    ``.npy``        `numpy.save`
    ``.npz``        `numpy.savez`: the only array, or the one named b, rhs, x or values (the first of these)
    ``.mtx``        MatrixMarket, ``array`` or ``coordinate``, also ``.mtx.gz``; always double precision
    ``.h5, .hdf5``  the only dataset of numbers, or by name as for ``.npz``
    ``.bin``        a uint64 count and that many float64, little-endian: one real vector
    ``.txt, .csv``  numbers separated by blanks or commas, one row a line; always double precision
    ==============  ===========================================================================================

    Parameters
    ----------
    path
        The file. Nothing in it is executed.

    Returns
    -------
    Tensor
        ``(n)`` or the shape in the file, for columns ``(n, k)``, on the CPU in the file's precision; whole numbers
        become float64. The text formats do not tell n × 1 from n: one row or one column is a vector.

    Raises
    ------
    FileError
        If the file is missing, of an unknown ending, foreign, truncated or damaged, holds Python objects, something
        else than numbers, NaN or infinity.

    Examples
    --------
    >>> import torch
    >>> write_vector("b.mtx", torch.tensor([1.0, 0.5]))
    >>> read_vector("b.mtx")
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    path = Path(path)
    read, _, _ = _FORMATS[ending_of(path, _FORMATS)]
    with reading(path):
        array = numbers(str(path), read(path))
        if array.ndim == 0:
            raise FileError(f"{path}: a single number without an axis: expected a vector (n,), or columns (n, k).")
        require_finite(str(path), array)
        return torch.from_numpy(np.ascontiguousarray(array))


def write_vector(path: Path | str, x: Tensor) -> None:
    """Write a vector in the format that the ending names, see `read_vector`; an old file is replaced in one step.

    Parameters
    ----------
    path
        Target.
    x
        ``(n)``, columns ``(n, k)``, or any shape where the format is not text; real or complex, on any device. Text
        holds all digits of x.

    Raises
    ------
    DTypeError
        x is of another dtype than float32, float64, complex64 and complex128.
    FileError
        The ending is unknown, x has too many axes for it, a value is not finite, the disk is full or the folder cannot
        be written; an older file of this name is left as it was.
    """
    path = Path(path)
    _, content, axes = _FORMATS[ending_of(path, _FORMATS)]
    if x.dtype not in DTYPES:
        raise DTypeError(f"x of dtype {x.dtype}: expected float32, float64, complex64 or complex128")
    array = x.detach().resolve_conj().resolve_neg().cpu().numpy()
    if not 1 <= array.ndim <= axes:
        raise FileError(f"{path}: shape {array.shape} does not fit this format: at most {axes} axes; use .npy or .h5.")
    if axes == 2 and array.size == 0:
        raise FileError(f"{path}: shape {array.shape} holds no numbers, which text does not record: use .npy or .h5.")
    require_finite(str(path), array)
    with replacing(path) as temporary:
        temporary.write_bytes(content(array))


_ANY = 32
_FORMATS: dict[str, tuple[Callable[[Path], np.ndarray], Callable[[np.ndarray], bytes], int]] = {
    ".npy": (numpy_files.read_array_file, numpy_files.array_file, _ANY),
    ".npz": (numpy_files.read_array_archive, numpy_files.array_archive, _ANY),
    ".mtx": (matrix_market.read_array, matrix_market.text_of, 2),
    ".mtx.gz": (matrix_market.read_array, lambda a: gzip.compress(matrix_market.text_of(a), mtime=0), 2),
    ".h5": (hdf5.read_array, hdf5.vector_file, _ANY),
    ".hdf5": (hdf5.read_array, hdf5.vector_file, _ANY),
    ".bin": (binary.read_array, binary.vector_file, 1),
    ".txt": (plain_text.read_array, plain_text.separated_by_blanks, 2),
    ".csv": (plain_text.read_array, plain_text.comma_separated, 2),
}
VECTOR_ENDINGS = tuple(_FORMATS)
