"""Random obstacles: balls, boxes and rods in a box with open sides and, at times, a free surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID
from pde_benchmarks.pressure.components import without_floating

__all__ = ["RandomCells"]

# Half-widths in units of the box: least and largest.
BALL, BOX, ROD, ROD_LENGTH = (0.05, 0.22), (0.04, 0.25), (0.02, 0.06), (0.15, 0.5)
LEVEL, WAVE, WAVES = (0.6, 0.9), (0.02, 0.1), 3
BALLS, BOXES, RODS = range(3)


@dataclass(frozen=True)
class RandomCells:
    """Law of solid, fluid and open cells in the unit square or cube.

    1 to `obstacles` solids at uniform places, each a ball (radius 0.05 to 0.22), an upright box (half-widths 0.04 to
    0.25) or a rod (a capsule of any direction, radius 0.02 to 0.06, half-length 0.15 to 0.5). With probability
    `free_surface` everything above a wavy height is open, axis 1 being upright. Each side is open with probability
    `open_side`, one of them at least. All numbers are drawn before cells are marked, so that one seed gives the same
    bodies on every grid.

    Parameters
    ----------
    obstacles
        Largest number of solids, 1 or more.
    open_side, free_surface
        Probabilities.

    Raises
    ------
    ProblemError
        A parameter is out of range.

    Examples
    --------
    >>> cells, sides = RandomCells().sample(3, (16, 16), torch.Generator().manual_seed(0))
    >>> cells.shape, cells.dtype, sides.shape
    (torch.Size([3, 16, 16]), torch.int8, torch.Size([3, 2, 2]))
    """

    obstacles: int = 6
    open_side: float = 0.4
    free_surface: float = 0.3

    def __post_init__(self) -> None:
        if self.obstacles < 1:
            raise ProblemError(f"obstacles {self.obstacles}: at least 1 is expected.")
        for name in ("open_side", "free_surface"):
            if not 0 <= getattr(self, name) <= 1:
                raise ProblemError(f"{name} {getattr(self, name)}: a probability from 0 to 1 is expected.")

    def sample(self, count: int, grid: Sequence[int], generator: Generator) -> tuple[Tensor, Tensor]:
        """Cells in which every fluid component touches something open: floating pockets are made solid.

        A sample whose fluid is all enclosed is drawn again.

        Parameters
        ----------
        grid
            Cells along each of 2 or 3 axes, 8 or more.

        Returns
        -------
        tuple
            `SOLID`, `FLUID` or `OPEN`, int8 ``(count, *grid)``, and whether the (low, high) sides of every axis are
            open, bool ``(count, d, 2)``: the two arguments of `pressure_operator`.

        Raises
        ------
        ProblemError
            `grid` is not as above.
        """
        cells, sides = self.with_pockets(count, grid, generator)
        while count:
            filled = cells.clone()
            with_fluid = (cells == FLUID).flatten(1).any(1)
            filled[with_fluid] = without_floating(cells[with_fluid], sides[with_fluid])
            empty = ~(filled == FLUID).flatten(1).any(1)
            if not bool(empty.any()):
                return filled, sides
            cells[empty], sides[empty] = self.with_pockets(int(empty.sum()), grid, generator)
        return cells, sides

    def with_pockets(self, count: int, grid: Sequence[int], generator: Generator) -> tuple[Tensor, Tensor]:
        """As `sample`, with the pockets that solids enclose left fluid, and perhaps samples without any fluid."""
        d = len(grid)
        if d not in (2, 3) or min(grid) < 8:
            raise ProblemError(f"grid {tuple(grid)}: 2 or 3 axes of at least 8 cells are expected.")
        axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in grid]
        solid = self._solids(count, axes, generator)
        above = self._above_surface(count, axes, generator)
        cells = torch.where(solid, SOLID, torch.where(above, OPEN, FLUID)).to(torch.int8)
        return cells, self._sides(count, d, generator)

    def _solids(self, count: int, axes: list[Tensor], generator: Generator) -> Tensor:
        """Whether a body covers a cell's centre, ``(count, *grid)``."""
        d = len(axes)
        number = torch.randint(1, self.obstacles + 1, (count,), generator=generator)
        solid = torch.zeros(count, *map(len, axes), dtype=torch.bool)
        for k in range(self.obstacles):
            kind = torch.randint(3, (count,), generator=generator)
            centre = _uniform((0.0, 1.0), (count, d), generator)
            wide, thin = (_uniform(law, (count,), generator) for law in (BALL, ROD))
            radius = torch.where(kind == BALLS, wide, thin)
            half = _uniform(BOX, (count, d), generator)
            rod = torch.randn((count, d), generator=generator, dtype=torch.float64)
            rod = rod / rod.norm(dim=1, keepdim=True) * _uniform(ROD_LENGTH, (count, 1), generator)
            rod = torch.where((kind == RODS)[:, None], rod, 0)
            away = [x - centre[:, k, None] for k, x in enumerate(axes)]
            outside = [a.abs() - half[:, k, None] for k, a in enumerate(away)]
            in_box = _over_grid([torch.where(a > 0, 1.0, 0.0) for a in outside]) == 0
            is_box = _beside(kind == BOXES, solid)
            body = torch.where(is_box, in_box, _is_near(away, rod, radius))
            solid |= body & _beside(number > k, solid)
        return solid

    def _above_surface(self, count: int, axes: list[Tensor], generator: Generator) -> Tensor:
        """Whether a cell's centre is above the free surface, if there is one, ``(count, *grid)``."""
        d = len(axes)
        present = torch.rand(count, generator=generator) < self.free_surface
        level, height = _uniform(LEVEL, (count,), generator), _uniform(WAVE, (count,), generator)
        waves = 2 * math.pi * torch.randint(WAVES + 1, (count, d), generator=generator)
        waves[:, 1] = 0
        phase = _uniform((0.0, 2 * math.pi), (count,), generator)
        angle = _over_grid([waves[:, k, None] * x for k, x in enumerate(axes)])
        surface = _beside(level, angle) + _beside(height, angle) * (angle + _beside(phase, angle)).sin()
        upright = axes[1].reshape(-1, *[1] * (d - 2))
        return (upright > surface) & _beside(present, surface)

    def _sides(self, count: int, d: int, generator: Generator) -> Tensor:
        """Which sides are open, one at least, ``(count, d, 2)``."""
        is_open = torch.rand((count, 2 * d), generator=generator) < self.open_side
        one = torch.randint(2 * d, (count,), generator=generator)
        closed = ~is_open.any(1)
        is_open[closed, one[closed]] = True
        return is_open.reshape(count, d, 2)


def _uniform(law: tuple[float, float], shape: tuple[int, ...], generator: Generator) -> Tensor:
    low, high = law
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def _is_near(away: list[Tensor], rod: Tensor, radius: Tensor) -> Tensor:
    """Whether a point is within `radius` of the segment from −rod to rod (a ball where the rod is zero)."""
    length = rod.square().sum(1)
    square = _over_grid([a.square() for a in away])
    along = _over_grid([a * rod[:, k, None] for k, a in enumerate(away)])
    nearest = (along / _beside(torch.where(length > 0, length, 1), along)).clamp_(-1, 1)
    # ‖x − t a‖² = ‖x‖² − 2 t ⟨x, a⟩ + t² ‖a‖²
    square += nearest * (nearest * _beside(length, along) - 2 * along)
    return square <= _beside(radius**2, square)


def _over_grid(terms: list[Tensor]) -> Tensor:
    """Σ_k terms[k][:, i_k] for each ``(count, n_k)``: ``(count, *grid)``."""
    d = len(terms)
    total = terms[0].reshape(*terms[0].shape, *[1] * (d - 1))
    for k, term in enumerate(terms[1:], start=1):
        total = total + term.reshape(len(term), *[1] * k, term.shape[1], *[1] * (d - 1 - k))
    return total


def _beside(values: Tensor, field: Tensor) -> Tensor:
    """One number a sample, against ``(count, *grid)``."""
    return values.reshape(-1, *[1] * (field.ndim - 1))
