"""A file for the HDF5 library to write to that survives a full disk: the library itself would crash."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Sink"]


class Sink(io.FileIO):
    """A new file that keeps the first error of a write and swallows what follows.

    Parameters
    ----------
    path
        Created, or emptied.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of the bytes, or remember why not."""
        view = memoryview(data).cast("B")
        done = 0
        while self.failure is None and done < len(view):
            try:
                done += self.write_raw(view[done:])
            except OSError as error:
                self.failure = error
        return len(view)

    def write_raw(self, data: memoryview) -> int:
        """Write some of the bytes; raises `OSError`."""
        return super().write(data) or 0

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size of the file, or remember why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        """Raise the first error that was kept."""
        if self.failure is not None:
            raise self.failure

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise the first error of a write at the end of the block, whatever the library made of it."""
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()
