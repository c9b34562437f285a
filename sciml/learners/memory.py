"""Refuse a network that the machine's memory cannot hold, before any of it is allocated."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from sciml.errors import ConfigurationError

__all__ = ["require_memory"]

COPIES = 4  # weights, their gradients, and the two moments of Adam
SHARE = 0.5  # of the memory; the rest is for data and activations


def require_memory(build: Callable[[], nn.Module]) -> None:
    """Count the parameters of the network that ``build`` makes, without allocating them.

    Raises
    ------
    ConfigurationError
        If training it would take more than half of the memory for the parameters alone.
    """
    with torch.device("meta"):
        parameters = list(build().parameters())
    needed = COPIES * sum(p.numel() * p.element_size() for p in parameters)
    held = memory()
    if needed > SHARE * held:
        raise ConfigurationError(
            f"a network of {sum(p.numel() for p in parameters):.3g} parameters needs {needed / 2**30:.3g} GiB to be "
            f"trained, and this machine has {held / 2**30:.3g} GiB: choose fewer channels, layers or modes."
        )


def memory() -> float:
    """Bytes of memory this process may use: the machine's, or less where a container says so."""
    held = float("inf")
    with suppress(OSError, ValueError, AttributeError):
        held = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        held = min(held, float(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return held
