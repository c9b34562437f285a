"""Vectors as plain text: one row a line, numbers separated by blanks or commas, ``#`` before remarks."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path

import numpy as np

from solvers.errors import FileError

__all__ = ["comma_separated", "read_array", "separated_by_blanks"]


def read_array(path: Path) -> np.ndarray:
    """Numbers in float64, or complex128 if one is complex; one row or one column is a vector."""
    text = path.read_bytes().decode("utf-8")
    lines = [line for line in text.splitlines() if line.partition("#")[0].strip()]
    if not lines:
        raise FileError(f"{path}: no numbers in it: expected one a line.")
    delimiter = "," if any("," in line.partition("#")[0] for line in lines) else None
    dtype = np.complex128 if any("j" in line for line in lines) else np.float64
    found = np.loadtxt(StringIO("\n".join(lines)), dtype=dtype, delimiter=delimiter, ndmin=2)
    return np.asarray(found.reshape(-1) if 1 in found.shape else found)


def comma_separated(array: np.ndarray) -> bytes:
    """Text that gives back every bit of the numbers ``(n,)`` or ``(n, k)``."""
    return _text(array, ",")


def separated_by_blanks(array: np.ndarray) -> bytes:
    """Text that gives back every bit of the numbers ``(n,)`` or ``(n, k)``."""
    return _text(array, " ")


def _text(array: np.ndarray, delimiter: str) -> bytes:
    digits = 9 if array.dtype in (np.float32, np.complex64) else 17
    number = f"%.{digits}g%+.{digits}gj" if np.iscomplexobj(array) else f"%.{digits}g"
    columns = array.shape[1] if array.ndim == 2 else 1
    stream = BytesIO()
    np.savetxt(stream, array, fmt=delimiter.join([number] * columns), delimiter=delimiter)
    return stream.getvalue()
