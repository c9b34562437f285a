"""One process at a time writes a run directory."""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from weakref import WeakValueDictionary

from sciml.errors import RunError

__all__ = ["RunLock"]

_held: WeakValueDictionary[Path, RunLock] = WeakValueDictionary()


class RunLock:
    """Held on a directory as long as the object lives, by one process; a second one of the same process is the same.

    The operating system holds it on the directory itself (``flock``): it leaves no file behind, and a process that is
    killed lets go of it. Where there are no such locks (Windows, some network disks) everybody gets one.
    """

    def __init__(self, handle: int | None) -> None:
        if handle is not None:
            weakref.finalize(self, os.close, handle)

    @classmethod
    def of(cls, directory: Path) -> RunLock:
        """The lock of a directory that exists.

        Raises
        ------
        RunError
            Another process holds it.
        """
        place = directory.resolve()
        held = _held.get(place)
        if held is None:
            held = _held[place] = cls(_locked(place))
        return held


def _locked(place: Path) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(
            f"{place}: another process is writing this run: wait for it, end it, or choose another directory by -o."
        ) from None
    except OSError:
        with contextlib.suppress(OSError):
            os.close(handle)
        return None
    return handle
