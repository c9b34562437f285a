"""The files of published pressure systems: a matrix and right-hand sides of every frame, vectors to train on.

Kaneda, Akar, Chen, Kala, Hyde & Teran (2023): ``matrixA_<frame>.bin``, ``div_v_star<frame>.bin`` or
``div_v_star_<frame>.bin``, ``<i>.npy`` or ``b_<i>.npy``; last axis of the grid fastest.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from pde_benchmarks.errors import DatasetError
from solvers import CSROperator, DiffusionOperator, read_system, read_vector, write_system, write_vector

__all__ = ["read_frame", "read_training_vectors", "write_frame", "write_training_vectors"]

_VECTOR = re.compile(r"(?:b_)?(\d+)\.npy")


def read_frame(folder: Path | str, frame: int) -> tuple[CSROperator, Tensor]:
    """Matrix and right-hand side of one frame of a simulation.

    Returns
    -------
    tuple
        The matrix in the file's precision, its empty rows those of cells that are not fluid; b float64 ``(n^d)``.

    Raises
    ------
    DatasetError
        There is no right-hand side of this frame, or it does not fit the matrix.
    FileError
        As `solvers.read_system` and `solvers.read_vector`.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.pressure import pressure_operator
    >>> A = pressure_operator(torch.tensor([0, 1, 1, 2]))
    >>> write_frame("frames", 1, A, torch.tensor([0.0, 1.0, 1.0, 0.0]))
    >>> read_frame("frames", 1)[1]
    tensor([0., 1., 1., 0.], dtype=torch.float64)
    """
    folder = Path(folder)
    A = read_system(folder / f"matrixA_{frame}.bin")
    names = [folder / f"div_v_star{frame}.bin", folder / f"div_v_star_{frame}.bin"]
    present = [name for name in names if name.exists()]
    if not present:
        raise DatasetError(
            f"{folder}: no right-hand side of frame {frame}: {names[0].name} or {names[1].name} is expected."
        )
    b = read_vector(present[0])
    if b.shape != (A.shape[0],):
        raise DatasetError(f"{present[0]}: {b.numel()} numbers, and the matrix has {A.shape[0]} rows.")
    return A, b


def write_frame(folder: Path | str, frame: int, A: CSROperator | DiffusionOperator, b: Tensor) -> None:
    """Write matrix and right-hand side as `read_frame` reads them; zeros are not stored, and the folder is made."""
    folder = Path(folder)
    _make(folder)
    stored = A.to_csr().to_scipy()
    stored.eliminate_zeros()
    write_system(folder / f"matrixA_{frame}.bin", CSROperator.from_scipy(stored))
    write_vector(folder / f"div_v_star{frame}.bin", b)


def read_training_vectors(folder: Path | str) -> Tensor:
    """The vectors ``<i>.npy`` or ``b_<i>.npy`` in a folder, in the order of i: ``(count, n)`` in their precision.

    Raises
    ------
    DatasetError
        There are none, or they differ in length or precision.
    FileError
        As `solvers.read_vector`.
    """
    folder = Path(folder)
    numbered = [(int(match[1]), path) for path in folder.glob("*.npy") if (match := _VECTOR.fullmatch(path.name))]
    if not numbered:
        raise DatasetError(f"{folder}: no training vectors: files 0.npy, 1.npy, … or b_0.npy, b_1.npy, … are expected.")
    paths = [path for _, path in sorted(numbered)]
    vectors = [read_vector(path) for path in paths]
    for path, vector in zip(paths, vectors, strict=True):
        if vector.shape != vectors[0].shape or vector.ndim != 1 or vector.dtype != vectors[0].dtype:
            raise DatasetError(
                f"{path}: {tuple(vector.shape)} of {vector.dtype}, and {paths[0].name} is {tuple(vectors[0].shape)} of "
                f"{vectors[0].dtype}: vectors of one length and precision are expected."
            )
    return torch.stack(vectors)


def write_training_vectors(folder: Path | str, vectors: Tensor) -> None:
    """Write ``(count, n)`` as files ``b_<i>.npy``; the folder is made."""
    folder = Path(folder)
    _make(folder)
    for number, vector in enumerate(vectors):
        write_vector(folder / f"b_{number}.npy", vector)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be made ({error.strerror}): choose another folder.") from error
