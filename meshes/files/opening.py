"""What goes wrong while a mesh file is read, as one sentence that names the file; and a file handle that ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meshes.errors import MeshFileError
from solvers.errors import ScimlError

__all__ = ["EndingFile", "EndingText", "MeshFileWarning", "reading", "require_file"]

#: A reader that asks more often than this for what stands behind the end of a file is lost in a loop.
_PATIENCE = 64


class MeshFileWarning(UserWarning):
    """A mesh file does not hold all that the mesh has, or the reader understood only part of it."""


def require_file(path: Path) -> None:
    """Raise `MeshFileError` unless the path is a file with something in it."""
    if not path.exists():
        raise MeshFileError(f"{path}: no such file.")
    if not path.is_file():
        raise MeshFileError(f"{path}: a directory or a device, expected a mesh file.")
    if not path.stat().st_size:
        raise MeshFileError(f"{path}: an empty file (0 bytes): was it copied or downloaded completely?")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever the block raises about the contents into a `MeshFileError` that names the file.

    The block raises its own errors without the name of the file.
    """
    try:
        yield
    except ScimlError as error:
        text = str(error)
        raise MeshFileError(text if text.startswith(f"{path}:") else f"{path}: {text}") from error
    except PermissionError as error:
        raise MeshFileError(f"{path}: cannot be read (permission denied).") from error
    except MemoryError as error:
        raise MeshFileError(f"{path}: needs more memory than there is: check the sizes in its header.") from error
    # Parsers of foreign packages raise nearly anything over damaged files; none of it is a reason to stop a program.
    except Exception as error:
        raise MeshFileError(f"{path}: {_what_is_wrong(error)}") from error


class EndingText(io.TextIOWrapper):
    """A text file that raises `EOFError` to a reader that keeps on reading behind its end."""

    _misses = 0

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """The next line; an empty text at the end."""
        line = super().readline(size)
        self._misses = _counted(self._misses, bool(line))
        return line

    def __next__(self) -> str:  # type: ignore[override]
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def read(self, size: int | None = -1, /) -> str:
        """The next characters; an empty text at the end."""
        text = super().read(size)
        self._misses = _counted(self._misses, bool(text))
        return text


class EndingFile(io.BufferedReader):
    """A binary file that raises `EOFError` to a reader that keeps on reading behind its end."""

    _misses = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line; no bytes at the end."""
        line = super().readline(size)
        self._misses = _counted(self._misses, bool(line))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none at the end."""
        found = super().read(size)
        self._misses = _counted(self._misses, bool(found))
        return found


def _counted(misses: int, found: bool) -> int:
    if misses > _PATIENCE:
        raise EOFError("what its header announces does not come")
    return 0 if found else misses + 1


def _what_is_wrong(error: Any) -> str:
    text = " ".join(str(error).split())[:200].rstrip(".")
    reason = text or type(error).__name__
    if isinstance(error, EOFError | StopIteration) or "runcated" in text:
        return f"the file ends early ({reason}): was it copied or downloaded completely?"
    return f"not a file of this format, or damaged ({reason})."
