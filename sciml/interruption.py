"""Ctrl-C from the first moment on: one line and the exit code 130, also while heavy packages are being imported."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "Attention", "interruption"]

INTERRUPTED = 130
RESUMING = ("compare", "generate", "invert", "run", "simulate")


def interruption(arguments: Sequence[str]) -> str:
    """What an interrupted command line says: only some commands keep what they have done.

    Examples
    --------
    >>> interruption(["run", "darcy"]), interruption(["list"])
    ('interrupted; the same command goes on where it stopped.', 'interrupted; the same command starts anew.')
    """
    command = next((word for word in arguments if not word.startswith("-")), "")
    done = "goes on where it stopped" if command in RESUMING else "starts anew"
    return f"interrupted; the same command {done}."


class Attention:
    """Listens for Ctrl-C while entered with `paid`.

    Parameters
    ----------
    arguments
        The command line that would be interrupted.

    Attributes
    ----------
    received
        Whether Ctrl-C was pressed: whatever fails afterwards fails because of it.
    words
        What is said then.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self.received = False
        self.words = interruption(arguments)

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
            os.write(2, f"{shown}sciml: {self.words}\n".encode())
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
