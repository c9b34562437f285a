"""NumPy files: an ``.npz`` archive, or two ``.npy`` files ``NAME_x.npy`` and ``NAME_y.npy``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from pde_benchmarks.datasets.recording import Recording, StoredArray, as_tensor
from pde_benchmarks.errors import DatasetError

__all__ = ["record_directory", "record_npy", "record_npz"]


def record_npz(path: Path) -> Recording:
    """All arrays of an archive; pickled objects are refused, not loaded."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(_broken(path, error)) from error
    return _recording(path, arrays)


def record_npy(path: Path) -> Recording:
    """One array and its partner: ``NAME_x.npy`` goes with ``NAME_y.npy``, and ``x.npy`` with ``y.npy``.

    A file without a partner is the input alone.
    """
    stem = path.stem
    if stem not in ("x", "y") and not stem.endswith(("_x", "_y")):
        return _recording(path, {"x": _load(path)})
    files = {side: path.with_name(f"{stem[:-1]}{side}.npy") for side in ("x", "y")}
    return _recording(path, {side: _load(file) for side, file in files.items() if file.exists()})


def record_directory(path: Path) -> Recording:
    """The one pair of ``.npy`` files in a directory."""
    inputs = sorted({*path.glob("x.npy"), *path.glob("*_x.npy")})
    if len(inputs) != 1:
        names = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
        raise DatasetError(f"{path}: expected one pair NAME_x.npy, NAME_y.npy in this directory, found {names}.")
    return record_npy(inputs[0])


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(_broken(path, error)) from error


def _recording(path: Path, arrays: dict[str, np.ndarray]) -> Recording:
    numbers = {name: array for name, array in arrays.items() if array.ndim and array.dtype.kind in "fiubc"}
    found = {name: StoredArray(a.shape, lambda a=a: as_tensor(a)) for name, a in numbers.items()}  # type: ignore[misc]
    return Recording(path, "NumPy", found)


def _broken(path: Path, error: Exception) -> str:
    if "allow_pickle" in str(error) or "pickle" in str(error):
        return f"{path}: holds Python objects, which could run foreign code when loaded: refused. Store plain arrays."
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"{path}: the file ends early or is damaged ({reason}): fetch it again."
