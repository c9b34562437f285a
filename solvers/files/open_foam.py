"""OpenFOAM's matrices: the lists diag, upper, lower, lowerAddr, upperAddr and source, one text file each in a folder.

Face f joins the cells lowerAddr[f] < upperAddr[f]; upper[f] is the entry in the row of the first and the column of the
second, lower[f] that of the transposed place (equal to upper where there is no such file).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers.errors import FileError, ShapeError
from solvers.files.atomic import replacing
from solvers.files.opening import reading, require_finite
from solvers.operators.csr import CSROperator

__all__ = ["read_ldu", "write_ldu"]

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_HEADER = re.compile(r"\s*FoamFile\s*\{(.*?)\}", re.DOTALL)
_LIST = re.compile(
    r"\s*(?:\w+\s+)?(?:nonuniform\s+)?(?:List<(?:scalar|label)>\s*)?(\d+)\s*(?:\(([^()]*)\)|\{([^{}]*)\})\s*;?\s*"
)


def read_ldu(folder: Path | str) -> tuple[CSROperator, Tensor | None]:
    """The matrix in a folder, and its right-hand side if there is a file ``source``.

    Lists are ``N ( … )``, ``N { one value }`` or ``nonuniform List<scalar> N ( … )``, with or without a FoamFile header
    and comments. The contributions of boundary conditions are expected to be in diag and source already, as they are
    when the linear solver is called. OpenFOAM's Laplacian is negative: where no diagonal entry is positive, matrix and
    right-hand side come with the opposite sign, so that the solution stays the same.

    Returns
    -------
    tuple
        float64 on the CPU; tagged "symmetric" if lower equals upper.

    Raises
    ------
    FileError
        A list is missing, binary, cut off or not finite, the lists do not fit together, or a face joins cells that are
        not there.

    Examples
    --------
    >>> from solvers import poisson_operator
    >>> write_ldu("lists", poisson_operator((2,)))
    >>> read_ldu("lists")[0].to_dense()
    tensor([[ 3., -1.],
            [-1.,  3.]], dtype=torch.float64)
    """
    folder = Path(folder)
    diag, upper = _read(folder / "diag"), _read(folder / "upper")
    first, second = _addresses(folder / "lowerAddr", diag.size), _addresses(folder / "upperAddr", diag.size)
    lower = _read(folder / "lower") if (folder / "lower").exists() else upper
    for name, found in (("lower", lower), ("lowerAddr", first), ("upperAddr", second)):
        if found.size != upper.size:
            raise FileError(
                f"{folder / name}: {found.size} entries, and upper has {upper.size}: one a face is expected."
            )
    wrong = np.flatnonzero(first >= second)
    if wrong.size:
        face = int(wrong[0])
        raise FileError(
            f"{folder / 'lowerAddr'}: face {face} joins cells {first[face]} and {second[face]}: the first is expected "
            "to have the smaller number."
        )
    b = _read(folder / "source") if (folder / "source").exists() else None
    if b is not None and b.size != diag.size:
        raise FileError(f"{folder / 'source'}: {b.size} entries, and diag has {diag.size}: one a cell is expected.")
    sign = -1.0 if diag.size and diag.max() <= 0 and diag.min() < 0 else 1.0
    cell = np.arange(diag.size)
    row, column = np.concatenate([cell, first, second]), np.concatenate([cell, second, first])
    values = torch.from_numpy(sign * np.concatenate([diag, upper, lower]))
    tags = {"symmetric"} if np.array_equal(lower, upper) else set()
    A = CSROperator.from_coo(torch.from_numpy(row), torch.from_numpy(column), values, (diag.size,) * 2, tags)
    return A, None if b is None else torch.from_numpy(sign * b)


def write_ldu(folder: Path | str, A: object, b: Tensor | None = None) -> None:
    """Write one real square matrix with stored entries, and a right-hand side, as lists; the folder is made if missing.

    Every entry off the diagonal is written together with its mirror image; ``lower`` only if the two differ.

    Raises
    ------
    ShapeError
        A is not square or a batch, or b does not fit it.
    FileError
        A value is complex or not finite, or the folder cannot be written.
    """
    folder = Path(folder)
    matrix = A.to_csr().to_scipy()  # type: ignore[attr-defined]
    n = matrix.shape[0]
    if matrix.shape[1] != n or (b is not None and b.shape != (n,)):
        raise ShapeError(f"matrix {matrix.shape}, b {None if b is None else tuple(b.shape)}: expected (n, n), (n,)")
    if np.iscomplexobj(matrix.data):
        raise FileError(f"{folder}: complex values: OpenFOAM's lists are real.")
    pattern = (abs(matrix) + abs(matrix.T)).tocoo()
    above = pattern.col > pattern.row
    first, second = pattern.row[above], pattern.col[above]
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    upper, lower = _entries(matrix, first, second), _entries(matrix, second, first)
    lists = {"diag": matrix.diagonal(), "upper": upper, "lowerAddr": first, "upperAddr": second}
    if not np.array_equal(upper, lower):
        lists["lower"] = lower
    if b is not None:
        lists["source"] = b.detach().cpu().numpy()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made ({error.strerror}): choose another folder.") from error
    for name, values in lists.items():
        require_finite(str(folder / name), values)
        with replacing(folder / name) as temporary:
            temporary.write_text(f"{values.size}\n(\n" + "".join(f"{value!r}\n" for value in values.tolist()) + ")\n")


def _entries(matrix: scipy.sparse.csr_array, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Entries (row, column), zero where nothing is stored."""
    n, stored = matrix.shape[1], matrix.tocoo()
    keys, wanted = stored.row.astype(np.int64) * n + stored.col, row.astype(np.int64) * n + column
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys[order], wanted), max(keys.size - 1, 0))
    found = order[place] if keys.size else place
    return np.where(keys[found] == wanted, stored.data[found], 0) if wanted.size else np.zeros(0)


def _read(path: Path) -> np.ndarray:
    """A list of numbers, float64."""
    with reading(path):
        text = _COMMENT.sub(" ", path.read_bytes().decode("utf-8"))
        header = _HEADER.match(text)
        if header is not None:
            if re.search(r"\bformat\s+binary\b", header.group(1)):
                raise FileError(f"{path}: a binary list: convert it with foamFormatConvert to ascii.")
            text = text[header.end() :]
        found = _LIST.fullmatch(text)
        if found is None:
            raise FileError(f"{path}: no whole list: 'N ( … )' with as many numbers is expected; was it cut off?")
        count, several, one = int(found.group(1)), found.group(2), found.group(3)
        values = np.array((one if several is None else several).split(), dtype=np.float64)
        if several is None and values.size == 1:
            values = np.full(count, values[0])
        if values.size != count:
            raise FileError(f"{path}: {values.size} numbers, and {count} are announced: was it cut off?")
        require_finite(str(path), values)
        return values


def _addresses(path: Path, cells: int) -> np.ndarray:
    """A list of cell numbers, int64."""
    values = _read(path)
    wrong = np.flatnonzero((values < 0) | (values >= cells) | (values != np.floor(values)))
    if wrong.size:
        face = int(wrong[0])
        raise FileError(f"{path}: face {face} has the cell {values[face]:g}: 0 to {cells - 1} is expected.")
    return values.astype(np.int64)
