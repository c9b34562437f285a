"""What the laws share: uniform numbers, the centres of pixels, the check of the number of axes."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import axis_points

__all__ = ["centres", "require_axes", "uniform"]


def uniform(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Independent numbers U(low, high), float64, of ``shape``."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def centres(shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Coordinates in the unit cube of the centres of pixels, each an array of ``shape``."""
    return torch.meshgrid(*(axis_points(n, "cell") for n in shape), indexing="ij")


def require_axes(law: str, shape: tuple[int, ...], axes: int) -> None:
    """Refuse a grid with another number of axes, or without points; raises ProblemError."""
    if len(shape) != axes or min(shape) < 2:
        raise ProblemError(f"law {law!r} on a grid {tuple(shape)}: {axes} axes of at least 2 points are expected.")
