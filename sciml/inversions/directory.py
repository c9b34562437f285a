"""The directory that an inversion leaves behind, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciml.errors import RunError

__all__ = ["POSTERIOR", "require_usable", "whole_directory"]

POSTERIOR = "posterior.h5"
CONTENT = (POSTERIOR, "metrics.json", "figures", "report.html")


def require_usable(directory: Path, mark: str = POSTERIOR) -> bool:
    """Whether an earlier inversion is there, which will be replaced; ``mark`` is the file that it is known by.

    Raises
    ------
    RunError
        If it is a file, or holds something else.
    """
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory}: a file, and an inversion needs a directory: choose another name by --output.")
    if (directory / mark).is_file():
        return True
    if directory.exists() and any(directory.iterdir()):
        raise RunError(
            f"{directory}: not empty, and not of an inversion (no {mark}): choose another by --output, or an empty one."
        )
    return False


@contextmanager
def whole_directory(directory: Path, content: Sequence[str] = CONTENT) -> Iterator[Path]:
    """Give an empty directory beside ``directory``; its ``content`` moves there when the block ends well.

    Raises
    ------
    RunError
        If it cannot be made or written.
    """
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        directory.mkdir(exist_ok=True)
        for name in content:
            _replace(temporary / name, directory / name)
    except OSError as error:
        raise RunError(f"{directory}: cannot be written ({error.strerror or error}): choose another place.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    if new.exists():
        os.replace(new, old)
