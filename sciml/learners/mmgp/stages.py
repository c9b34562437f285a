"""The stages of a long job: timed, and told to whoever follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Stages"]


class Stages:
    """Seconds by stage, and the progress of the whole.

    Parameters
    ----------
    shares
        Name of each stage, in order, to its usual share of the time.
    tell
        Called with the fraction of the whole that is done and the name of the stage.

    Examples
    --------
    >>> seen = []
    >>> stages = Stages({"morph": 3.0, "learn": 1.0}, lambda fraction, text: seen.append((fraction, text)))
    >>> with stages.stage("morph") as inside:
    ...     inside(1, 2)
    >>> with stages.stage("learn"):
    ...     pass
    >>> seen
    [(0.0, 'morph'), (0.375, 'morph'), (0.75, 'learn'), (1.0, 'learn')]
    """

    def __init__(self, shares: Mapping[str, float], tell: Callable[[float, str], None] | None = None) -> None:
        self._shares = {name: share / sum(shares.values()) for name, share in shares.items()}
        self._tell = tell or (lambda fraction, text: None)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float, float], None]]:
        """Time a stage; the block may say how many of how many steps it has done."""
        names = list(self._shares)
        before = sum((self._shares[other] for other in names[: names.index(name)]), start=0.0)
        self._tell(before, name)
        began = time.perf_counter()
        yield lambda done, total: self._tell(before + self._shares[name] * done / total, name)
        self.seconds[name] = time.perf_counter() - began
        if name == names[-1]:
            self._tell(1.0, name)
