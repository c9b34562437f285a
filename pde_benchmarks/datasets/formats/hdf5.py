"""HDF5 files: opening them with errors that say what is wrong, and files of no particular layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pde_benchmarks.datasets.recording import Recording, StoredArray, as_tensor
from pde_benchmarks.errors import DatasetError
from solvers.errors import ScimlError

if TYPE_CHECKING:
    import h5py

__all__ = ["numeric_arrays", "opened", "record_plain", "stored"]


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    DatasetError
        If, now or while the block reads from it, the file turns out to be missing, foreign, truncated or damaged.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except ScimlError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DatasetError(f"{path}: {_what_is_wrong(path, error)}") from error


def record_plain(path: Path, file: h5py.File) -> Recording:
    """Every numeric array of the file, samples first."""
    return Recording(path, "HDF5", {name: stored(array) for name, array in numeric_arrays(file).items()})


def numeric_arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All arrays of numbers with at least one axis, by their path inside the file."""
    import h5py

    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim and node.dtype.kind in "fiubc":
            found[name] = node

    file.visititems(visit)
    return found


def stored(array: h5py.Dataset, channels: bool | None = None) -> StoredArray:
    """An array as it lies in the file."""
    return StoredArray(tuple(array.shape), lambda: as_tensor(array[()]), channels)


def _what_is_wrong(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file."
    if path.is_dir():
        return "a directory, not a data file."
    text = str(error)
    if "truncated" in text:
        return "the file ends early (an interrupted copy or download?): fetch or generate it again."
    if "signature not found" in text:
        return "not an HDF5 file."
    reason = text.splitlines()[0] if text else type(error).__name__
    return f"the file is damaged ({reason}): fetch or generate it again."
