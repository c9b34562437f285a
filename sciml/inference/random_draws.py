"""Random numbers from an explicit generator, on whatever device the work is done."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["normal", "uniform"]


def normal(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of the dtype and device of ``like``; a CPU generator gives the same ones on every device.

    Examples
    --------
    >>> normal((2, 3), torch.Generator().manual_seed(0), torch.zeros(1, dtype=torch.float64)).dtype
    torch.float64
    """
    drawn = torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def uniform(shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) of the dtype and device of ``like``."""
    drawn = torch.rand(shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)
