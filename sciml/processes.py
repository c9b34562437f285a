"""The processes that ``torchrun`` starts: the first one speaks and writes, all of them train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["first_process", "first_then_others"]


def first_process() -> bool:
    """Whether this process is the only one, or the first of several."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_then_others() -> Iterator[None]:
    """The block is run by the first process, and when it is through by all others; alone, it is simply run."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    state = PartialState(cpu=not torch.accelerator.is_available())
    if not first_process():
        try:
            state.wait_for_everyone()
        except RuntimeError:
            raise SystemExit(1) from None  # the first one has ended, and has said why
    yield
    if first_process():
        state.wait_for_everyone()
