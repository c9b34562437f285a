"""How a grid is cut into boxes, one for each expert, and the windows by which they are blended."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.hard_constraints.boxes import Boxes, Extent

__all__ = ["BoxRouter", "FittedRouter", "Router", "windows"]


class Router(ABC):
    """A rule by which the points of a grid are given to experts."""

    @abstractmethod
    def extents(self, shape: tuple[int, ...]) -> tuple[Extent, ...]:
        """The box of each expert; together they are the grid, without overlap."""

    def boxes(self, shape: tuple[int, ...], device: torch.device | None = None) -> Boxes:
        """The points of each expert."""
        owner = torch.zeros(shape, dtype=torch.int64, device=device)
        for expert, extent in enumerate(self.extents(shape)):
            owner[tuple(slice(a, b) for a, b in extent)] = expert
        return Boxes.from_owner(shape, owner.flatten())


@dataclass(frozen=True)
class BoxRouter(Router):
    """Equal boxes, ``counts[i]`` along axis i, whose sizes differ by one point where the grid is not a multiple.

    Raises
    ------
    ConfigurationError
        A count that is not positive.
    LearnerError
        More boxes than points, or more or fewer counts than axes.

    Examples
    --------
    >>> BoxRouter((1, 2)).extents((4, 5))
    (((0, 4), (0, 2)), ((0, 4), (2, 5)))
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 1:
            raise ConfigurationError(f"BoxRouter: counts = {self.counts}, expected positive numbers, one for each axis")

    def extents(self, shape: tuple[int, ...]) -> tuple[Extent, ...]:
        if len(self.counts) != len(shape):
            example = (1,) * (len(shape) - 1) + (math.prod(self.counts),)
            raise LearnerError(
                f"BoxRouter: {len(self.counts)} counts {self.counts} for the {len(shape)} axes of a grid "
                f"{tuple(shape)}: give one count for each axis, such as BoxRouter({example})"
            )
        if any(k > n for k, n in zip(self.counts, shape, strict=True)):
            raise LearnerError(
                f"BoxRouter: counts {self.counts} on a grid {tuple(shape)}: an expert would have no point; give counts "
                "of at most the number of points along each axis"
            )
        axes = [[(n * i // k, n * (i + 1) // k) for i in range(k)] for k, n in zip(self.counts, shape, strict=True)]
        return tuple(product(*axes))


@dataclass(frozen=True)
class FittedRouter(Router):
    """Boxes that were fitted to where the residual is large.

    Attributes
    ----------
    shape
        Of the grid.
    boxes_of_grid
        The extents found.
    """

    shape: tuple[int, ...]
    boxes_of_grid: tuple[Extent, ...]

    @classmethod
    def fit(cls, squares: Tensor, count: int, smallest: int = 4) -> FittedRouter:
        """Cut the box with the largest sum of squares, across its longest side, where half of them lie on each side.

        Parameters
        ----------
        squares
            Squares of a residual (better: of a correction) on the grid, ``(*shape)``.
        count
            Number of experts.
        smallest
            No side is cut into less than this many points.

        Examples
        --------
        >>> import torch
        >>> FittedRouter.fit(torch.tensor([4.0, 4.0, 1.0, 1.0, 1.0, 1.0]), 2, smallest=1).boxes_of_grid
        (((0, 2),), ((2, 6),))
        """
        shape = tuple(squares.shape)
        found: list[Extent] = [tuple((0, n) for n in shape)]
        while len(found) < count:
            ranked = sorted(found, key=lambda extent: -float(_part(squares, extent).sum()))
            cut = next((e for e in ranked if max(b - a for a, b in e) >= 2 * smallest), None)
            if cut is None:
                raise LearnerError(
                    f"FittedRouter: no box of {smallest} points a side is left to cut for {count} experts on {shape}; "
                    "use fewer experts or a smaller `smallest`"
                )
            at = found.index(cut)
            found[at : at + 1] = _halves(_part(squares, cut), cut, smallest)
        return cls(shape, tuple(found))

    def extents(self, shape: tuple[int, ...]) -> tuple[Extent, ...]:
        if tuple(shape) != self.shape:
            raise LearnerError(f"FittedRouter: fitted on a grid {self.shape}, used on {tuple(shape)}; fit it there")
        return self.boxes_of_grid


def windows(router: Router, shape: tuple[int, ...], overlap: float) -> Tensor:
    """χ_e ``(K, G)``, float64, summing to one: products of ramps s²(3 − 2s) about the sides of each box.

    Parameters
    ----------
    overlap
        Width of the ramps relative to that of the box, 0 (indicators) to 1.

    Examples
    --------
    >>> windows(BoxRouter((2,)), (4,), overlap=1.0)
    tensor([[1.0000, 0.8438, 0.1562, 0.0000],
            [0.0000, 0.1562, 0.8438, 1.0000]], dtype=torch.float64)
    """
    if not 0 <= overlap <= 1:
        raise ConfigurationError(f"overlap = {overlap:g}, expected a part of the box in [0, 1]")
    raw = []
    for extent in router.extents(shape):
        window = torch.ones(shape, dtype=torch.float64)
        for axis, ((a, b), n) in enumerate(zip(extent, shape, strict=True)):
            centre, width = torch.arange(n, dtype=torch.float64) + 0.5, overlap * (b - a)
            side = torch.ones(n, dtype=torch.float64)
            if a > 0:
                side = side * _ramp(centre - a, width)
            if b < n:
                side = side * _ramp(b - centre, width)
            window = window * side.reshape(-1, *(1,) * (len(shape) - axis - 1))
        raw.append(window.flatten())
    stacked = torch.stack(raw)
    return stacked / stacked.sum(0)


def _ramp(distance: Tensor, width: float) -> Tensor:
    if width == 0:
        return (distance > 0).to(distance)
    s = (distance / width + 0.5).clamp(0, 1)
    return s * s * (3 - 2 * s)


def _part(squares: Tensor, extent: Extent) -> Tensor:
    return squares[tuple(slice(a, b) for a, b in extent)]


def _halves(part: Tensor, extent: Extent, smallest: int) -> list[Extent]:
    axis = max(range(len(extent)), key=lambda i: extent[i][1] - extent[i][0])
    a, b = extent[axis]
    along = part.sum([i for i in range(part.ndim) if i != axis]) if part.ndim > 1 else part
    half = int((along.cumsum(0) < along.sum() / 2).sum()) + 1
    middle = a + min(max(half, smallest), b - a - smallest)
    return [(*extent[:axis], side, *extent[axis + 1 :]) for side in ((a, middle), (middle, b))]
