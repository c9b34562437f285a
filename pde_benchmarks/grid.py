"""Uniform grids: where their points lie, and what holds on each of their sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["AxisBoundary", "Grid", "axis_points", "sides_of"]

ALIGNMENTS = ("cell", "vertex", "interior", "left", "unknown")
BOUNDARIES = ("dirichlet", "neumann", "periodic", "unknown")

AxisBoundary = str | tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """A uniform grid on the unit cube.

    Parameters
    ----------
    shape
        Points per axis.
    alignment
        Where the points lie on an axis of N points: ``cell`` centres (i + 1/2)/N, ``vertex`` i/(N-1) with both ends,
        ``interior`` vertices (i + 1)/(N + 1), ``left`` nodes i/N; ``unknown`` for data that does not tell.
    boundary
        Boundary condition of every axis: ``dirichlet`` (zero; the default), ``neumann``, ``periodic`` or ``unknown``; a
        pair (low side, high side) where the two differ.

    Raises
    ------
    ProblemError
        If an alignment or a boundary condition is unknown, or a periodic side faces one that is not.

    Examples
    --------
    >>> Grid((4,), "left", ("periodic",)).points(0)
    tensor([0.0000, 0.2500, 0.5000, 0.7500], dtype=torch.float64)
    """

    shape: tuple[int, ...]
    alignment: str = "cell"
    boundary: tuple[AxisBoundary, ...] = ()

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise ProblemError(f"grid alignment {self.alignment!r} is unknown: use one of {', '.join(ALIGNMENTS)}.")
        if not self.boundary:
            object.__setattr__(self, "boundary", ("dirichlet",) * len(self.shape))
        if len(self.boundary) != len(self.shape):
            raise ProblemError(f"boundary {self.boundary}: a condition for each of {len(self.shape)} axes is expected.")
        sides_of(self.boundary)

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def sides(self) -> tuple[tuple[str, str], ...]:
        """The condition on the low and on the high side of every axis."""
        return sides_of(self.boundary)

    def points(self, axis: int) -> Tensor:
        """Coordinates along ``axis``, float64, shape ``(N,)``; cell centres if the alignment is unknown."""
        return axis_points(self.shape[axis], self.alignment)


def sides_of(boundary: Sequence[AxisBoundary]) -> tuple[tuple[str, str], ...]:
    """(low side, high side) of every axis, checked; raises as `Grid` does."""
    sides = tuple((entry, entry) if isinstance(entry, str) else (entry[0], entry[1]) for entry in boundary)
    for low, high in sides:
        for name in (low, high):
            if name not in BOUNDARIES:
                raise ProblemError(f"boundary {name!r} is unknown: use one of {', '.join(BOUNDARIES)}.")
        if (low == "periodic") != (high == "periodic"):
            raise ProblemError(f"boundary {low!r} faces {high!r}: an axis is periodic on both sides or on neither.")
    return sides


def axis_points(count: int, alignment: str) -> Tensor:
    """Coordinates in [0, 1] of ``count`` points with the given alignment, float64, shape ``(count,)``."""
    index = torch.arange(count, dtype=torch.float64)
    match alignment:
        case "cell" | "unknown":
            return (index + 0.5) / count
        case "vertex":
            return index / max(count - 1, 1)
        case "interior":
            return (index + 1) / (count + 1)
        case _:
            return index / count
