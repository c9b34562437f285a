"""Write a file completely or not at all, in a folder that need not exist yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pde_benchmarks.errors import DatasetError
from solvers.files import atomic

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there takes its place when the block ends well.

    Raises
    ------
    DatasetError
        As `solvers.files.atomic.replacing`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{path.parent}: cannot be made ({error.strerror or error}): choose another folder."
        ) from error
    with atomic.replacing(path, DatasetError) as temporary:
        yield temporary
