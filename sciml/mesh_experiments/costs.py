"""What a training took: seconds, and memory beyond what the process held before."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Costs", "costs"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Costs:
    """Seconds of wall clock and MiB of memory at the peak beyond those at the start; None where it is not known."""

    seconds: float = 0.0
    memory: float | None = None


@contextmanager
def costs() -> Iterator[Costs]:
    """Measure the block; what it yields is filled in when the block ends.

    The peak is that of the whole process, as Linux counts resident memory; on other systems it is not known.

    Examples
    --------
    >>> with costs() as found:
    ...     _ = bytearray(100)
    >>> found.seconds > 0
    True
    """
    found = Costs()
    before = _resident("VmRSS") if _reset_peak() else None
    began = time.perf_counter()
    try:
        yield found
    finally:
        found.seconds = time.perf_counter() - began
        peak = _resident("VmHWM") if before is not None else None
        found.memory = None if before is None or peak is None else max(0.0, peak - before)


def _reset_peak() -> bool:
    """Let Linux forget the largest memory so far; False where it cannot.

    What earlier work freed is given back first: it would be used again, and not be counted.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident(name: str) -> float | None:
    """A line of the process's status in MiB."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
