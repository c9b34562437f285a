"""Ctrl-C from the first moment on: one line and the exit code 130, also while heavy packages are being imported."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "WORDS", "Attention"]

INTERRUPTED = 130
WORDS = "interrupted; the same command goes on where it stopped."


class Attention:
    """Listens for Ctrl-C while entered with `paid`.

    Attributes
    ----------
    received
        Whether Ctrl-C was pressed: whatever fails afterwards fails because of it.
    """

    def __init__(self) -> None:
        self.received = False

    @contextmanager
    def paid(self) -> Iterator[None]:
        """Turn Ctrl-C into KeyboardInterrupt, or while an import is running into the end of the process.

        An import that is broken off leaves half a module behind, and what the rest of the program makes of that is
        anybody's guess. Outside the main thread, or where Ctrl-C is ignored or handled already, nothing changes.
        """
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if _importing(frame):
            # Past the buffers: Python's own are in an unknown state here.
            shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, which a progress bar hides
            os.write(2, f"{shown}sciml: {WORDS}\n".encode())
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
