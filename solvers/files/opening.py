"""What goes wrong while a file is read, as one sentence; and what may be in it: finite numbers of four dtypes."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from solvers.errors import FileError, ScimlError

__all__ = ["ending_of", "numbers", "reading", "require_finite"]

#: What the readers of NumPy, SciPy and h5py raise on files that are not what their name says.
_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError),
    *(SyntaxError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
_EXACT = 2**53


def ending_of(path: Path, known: Collection[str]) -> str:
    """Which of the `known` endings the name has, whatever its case.

    Raises
    ------
    FileError
        It has another one.
    """
    name = path.name.lower()
    for ending in known:
        if name.endswith(ending):
            return ending
    raise FileError(f"{path}: the ending {path.suffix!r} names no known format: use one of {', '.join(known)}.")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever the block raises about the file into a `FileError` that names it."""
    try:
        yield
    except FileError:
        raise
    except ScimlError as error:
        raise FileError(f"{path}: {str(error).rstrip('.')}.") from error
    except MemoryError as error:
        raise FileError(f"{path}: needs more memory than there is ({error}): check the sizes in its header.") from error
    except _BROKEN as error:
        raise FileError(f"{path}: {_what_is_wrong(path, error)}") from error


def numbers(name: str, array: np.ndarray) -> np.ndarray:
    """The array as float32, float64, complex64 or complex128 in native byte order, none of its values changed.

    Whole numbers and booleans become float64, half precision float32.

    Raises
    ------
    FileError
        Other dtypes, and whole numbers that float64 does not hold.
    """
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "bui":
        if array.size and kind != "b" and max(abs(int(array.min())), abs(int(array.max()))) > _EXACT:
            raise FileError(
                f"{name}: whole numbers beyond 2^53, which float64 rounds: store them as float64 if you may."
            )
        return array.astype(np.float64)
    if kind == "f" and size == 2:
        return array.astype(np.float32)
    if (kind, size) in (("f", 4), ("f", 8), ("c", 8), ("c", 16)):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    raise FileError(f"{name}: dtype {array.dtype}: expected whole numbers, float32, float64, complex64 or complex128.")


def require_finite(name: str, values: np.ndarray, places: Any = None) -> None:
    """Raise `FileError` with the place of the first NaN or infinity; `places(k)` puts entry k into words."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        place = places(bad[0]) if places else tuple(int(i) for i in np.unravel_index(bad[0], values.shape))
        raise FileError(
            f"{name}: entry {place}, counted from 0, is {values.reshape(-1)[bad[0]]} ({bad.size} of {values.size} are "
            "not finite): finite numbers are expected."
        )


def _what_is_wrong(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file."
    if path.is_dir():
        return "a directory, not a file."
    if isinstance(error, PermissionError):
        return "cannot be read (permission denied)."
    text = str(error)
    if "allow_pickle" in text or "pickled" in text:
        return "holds Python objects, which could run foreign code when loaded: refused. Store plain arrays."
    reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    if isinstance(error, EOFError) or "runcated" in text:
        return f"the file ends early ({reason}): was it copied or downloaded completely?"
    return f"not a file of this format, or damaged ({reason})."
