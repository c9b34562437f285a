"""The published pipe flow: three NumPy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pde_benchmarks.datasets.dataset import Dataset
from pde_benchmarks.errors import DatasetError
from pde_benchmarks.problem import Batch, FieldSpec, Grid, RecordedProblem

__all__ = ["read_pipe"]

FILES = ("Pipe_X.npy", "Pipe_Y.npy", "Pipe_Q.npy")


def read_pipe(folder: Path | str) -> Dataset:
    """Read the pipe flow of Geo-FNO (Li, Huang, Liu & Anandkumar 2023), where somebody has fetched it.

    ``Pipe_X.npy`` and ``Pipe_Y.npy`` ``(samples, n, m)`` are the nodes' coordinates; the first channel of
    ``Pipe_Q.npy`` ``(samples, channels, n, m)`` is the horizontal velocity, which everybody learns; n = m = 129 in the
    published files.

    Parameters
    ----------
    folder
        Where the three files are.

    Returns
    -------
    Dataset
        Input ``coordinates`` with two channels, output ``velocity`` with one, in the files' dtype, on a vertex grid.

    Raises
    ------
    DatasetError
        A file is missing, damaged, holds Python objects or anything but floats, or does not fit the others; or a
        value is not finite.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, shape in (("X", (5, 9, 9)), ("Y", (5, 9, 9)), ("Q", (5, 3, 9, 9))):
    ...         np.save(f"{folder}/Pipe_{name}.npy", np.ones(shape, dtype=np.float32))
    ...     read_pipe(folder).inputs
    Batch(coordinates: (5, 2, 9, 9) torch.float32)
    """
    folder = Path(folder)
    x, y, q = (_array(folder / name) for name in FILES)
    if x.ndim != 3 or y.shape != x.shape:
        raise DatasetError(
            f"{folder}: Pipe_X.npy {tuple(x.shape)} and Pipe_Y.npy {tuple(y.shape)}: expected (samples, n, m) twice."
        )
    if q.ndim != 4 or q.shape[1] < 1 or q.shape[::2] != (x.shape[0], x.shape[1]) or q.shape[3] != x.shape[2]:
        raise DatasetError(
            f"{folder / 'Pipe_Q.npy'}: shape {tuple(q.shape)}; expected (samples, channels, n, m) with the samples and "
            f"nodes {tuple(x.shape)} of Pipe_X.npy."
        )
    grid = Grid((x.shape[1], x.shape[2]), "vertex", ("unknown", "unknown"))
    problem = RecordedProblem(
        folder.name or str(folder), (FieldSpec("coordinates", 2, grid),), (FieldSpec("velocity", 1, grid),)
    )
    inputs, outputs = Batch({"coordinates": torch.stack((x, y), 1)}), Batch({"velocity": q[:, :1].contiguous()})
    dataset = Dataset(problem, inputs, outputs, "pipe")
    dataset.check(str(folder))
    return dataset


def _array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(
            f"{path}: no such file; the published pipe flow consists of {', '.join(FILES)} in one folder."
        ) from None
    except (ValueError, OSError, EOFError) as error:
        if "pickle" in str(error):
            raise DatasetError(
                f"{path}: holds Python objects, which could run foreign code when loaded: refused. Store plain arrays."
            ) from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: not a NumPy file, or damaged ({reason}): fetch it again.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else "an archive"
        raise DatasetError(f"{path}: holds {kind}; an array of floating-point numbers is expected.")
    return torch.from_numpy(array)
