"""MATLAB files as the FNO data sets use them: ``coeff``/``sol`` (Darcy), ``a``/``u`` (Burgers, Navier–Stokes)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from pde_benchmarks.datasets.formats.hdf5 import numeric_arrays
from pde_benchmarks.datasets.recording import Recording, StoredArray, as_tensor
from pde_benchmarks.errors import DatasetError

if TYPE_CHECKING:
    import h5py

__all__ = ["record_matlab_5", "record_matlab_73"]

NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def record_matlab_5(path: Path) -> Recording:
    """Arrays of a file up to version 7, read by SciPy."""
    from scipy.io import whosmat

    with _readable(path):
        contents = whosmat(path)
    arrays = {name: _named(path, name, shape) for name, shape, kind in contents if kind in NUMERIC}
    return _with_frames(Recording(path, "MATLAB", arrays))


def record_matlab_73(path: Path, file: h5py.File) -> Recording:
    """Arrays of a version 7.3 file: HDF5 in which MATLAB's column order turns all axes around."""
    arrays = {name: _transposed(array) for name, array in numeric_arrays(file).items() if not name.startswith("#")}
    return _with_frames(Recording(path, "MATLAB 7.3", arrays))


def _named(path: Path, name: str, shape: tuple[int, ...]) -> StoredArray:
    def load() -> Tensor:
        from scipy.io import loadmat

        with _readable(path):
            return as_tensor(loadmat(path, variable_names=[name])[name])

    return StoredArray(tuple(shape), load)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from scipy.io.matlab import MatReadError

    try:
        yield
    except DatasetError:
        raise
    except (MatReadError, ValueError, TypeError, OSError, EOFError, KeyError, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DatasetError(f"{path}: the MATLAB file ends early or is damaged ({reason}): fetch it again.") from error


def _transposed(array: h5py.Dataset) -> StoredArray:
    return StoredArray(tuple(reversed(array.shape)), lambda: as_tensor(array[()].T))


def _with_frames(recording: Recording) -> Recording:
    """Split a trajectory ``u (n, *grid, t)`` beside the times ``t`` into its first and its last frame.

    The input is the initial state ``a`` where the file has it, else the first frame; the output is the last frame.
    """
    arrays = dict(recording.arrays)
    if "u" not in arrays or "t" not in arrays or len(arrays["u"].shape) < 3:
        return recording
    u, times = arrays["u"], max(arrays["t"].shape)
    if u.shape[-1] != times:
        return recording
    del arrays["u"]
    arrays["u_first"] = StoredArray(u.shape[:-1], lambda: u.load()[..., 0].contiguous(), channels=False)
    arrays["u_last"] = StoredArray(u.shape[:-1], lambda: u.load()[..., -1].contiguous(), channels=False)
    initial = "a" if "a" in arrays and arrays["a"].shape == u.shape[:-1] else "u_first"
    return Recording(recording.path, recording.layout, arrays, (initial,), ("u_last",))
