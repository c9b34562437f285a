"""Run a compiled loop over the batch on torch's number of threads.

Python threads around functions that release the lock, instead of Numba's threading layers: those abort the process when
two threads enter them at once or when it was forked after their first use.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

__all__ = ["over_batch"]

_pools: dict[int, ThreadPoolExecutor] = {}


def over_batch(loop: Callable[..., None], count: int, *arguments: Any, least: int = 1) -> None:
    """Call ``loop(begin, end, *arguments)`` on disjoint pieces of range(count), in parallel.

    No piece is shorter than `least`: less work than a thread takes to start is not worth one.
    """
    workers = min(torch.get_num_threads(), count // least)
    if workers < 2:
        loop(0, count, *arguments)
        return
    bounds = [count * piece // workers for piece in range(workers + 1)]
    others = [_pool(workers).submit(loop, bounds[w], bounds[w + 1], *arguments) for w in range(1, workers)]
    try:
        loop(bounds[0], bounds[1], *arguments)
    finally:
        for future in others:
            future.result()


def _pool(workers: int) -> ThreadPoolExecutor:
    if workers not in _pools:
        _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="solvers")
    return _pools[workers]


# Threads do not survive a fork.
os.register_at_fork(after_in_child=_pools.clear)
