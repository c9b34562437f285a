"""Time several jobs in turn, so that whatever the machine does besides meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["interleaved"]


def interleaved(jobs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every job in `repeats` rounds, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(repeats + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if round_:
                seconds[name].append(time.perf_counter() - began)
    return seconds
