"""Two things that a training loop listens to: the clock of its budget, and the signals that ask it to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, Self

__all__ = ["Interrupts", "Stopwatch", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop by Ctrl-C or SIGTERM; its message says how to go on.

    Attributes
    ----------
    signal_number
        The signal that asked.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class Stopwatch:
    """Seconds charged to a budget, by the wall or by the processor time of this process; it can be held."""

    def __init__(self, kind: Literal["wall", "cpu"], start: float = 0.0) -> None:
        self._now = time.perf_counter if kind == "wall" else time.process_time
        self._origin = self._now() - start
        self._held: float | None = None

    @property
    def seconds(self) -> float:
        """Charged seconds up to now."""
        return (self._now() if self._held is None else self._held) - self._origin

    @contextmanager
    def held(self) -> Iterator[None]:
        """What runs inside is not charged."""
        self._held = self._now()
        try:
            yield
        finally:
            self._origin += self._now() - self._held
            self._held = None


class Interrupts:
    """While entered, the first Ctrl-C or SIGTERM is only noted in `received`; a second one acts as usual.

    Outside the main thread, where Python allows no signal handlers, nothing is noted.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
