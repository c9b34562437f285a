"""Whole files or none: every write goes to a temporary file beside the target and replaces it in one step.

Whoever reads a file written so sees the old content or the new one, never half of it, even if the program is killed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from solvers.errors import FileError, ScimlError

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path, kind: type[ScimlError] = FileError) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there takes its place when the block ends well.

    Whatever ends the block early (a full disk, Ctrl-C, a kill) leaves what stood at ``path`` untouched.

    Parameters
    ----------
    path
        Target, in a folder that exists.
    kind
        Exception to raise if the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # Forced onto the disk, so that the renaming cannot overtake the contents.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except ScimlError:
        raise
    except OSError as error:
        raise kind(f"{path}: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return (
            "the disk is full or a quota is used up: free some space and give the same command again; what was written "
            "before is unharmed."
        )
    return f"cannot be written ({error.strerror or str(error).splitlines()[0]}): choose a folder that can."
