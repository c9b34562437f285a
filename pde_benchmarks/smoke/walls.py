"""Where fluid may move at one moment, and what the walls do to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID, Side, Sides, checked_cells, sides_of
from pde_benchmarks.smoke.extrapolation import extrapolated
from pde_benchmarks.smoke.grid import MacGrid

__all__ = ["Friction", "Walls"]

Friction = Literal["free-slip", "no-slip"]


@dataclass(frozen=True, eq=False)
class Walls:
    """Solid, fluid and open cells, and the velocity of everything solid.

    Parameters
    ----------
    grid
        The staggered grid.
    cells
        0 solid, 1 fluid, 2 open, ``(batch or 1, *grid.shape)``.
    sides
        What closes the box: "solid" or "open", one for all, or one or a (low, high) pair an axis. A side through which
        fluid is pushed (`velocity`) is solid.
    friction
        "free-slip": a wall takes nothing from the flow along it. "no-slip": the flow at the wall has its velocity.
    velocity
        Normal velocity of the faces that a solid closes, ``(batch or 1, *grid.face_shape(a))``; zero elsewhere.
    side_velocity
        Velocity, a number an axis, of box sides (axis, 0 low or 1 high) that slide along themselves: a lid.

    Raises
    ------
    ProblemError
        Cells or sides that are not of this kind.
    """

    grid: MacGrid
    cells: Tensor
    velocity: tuple[Tensor, ...]
    sides: Sides = "solid"
    friction: Friction = "free-slip"
    side_velocity: Mapping[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_cells(self.cells, self.grid.dimension)
        sides_of(self.sides, self.grid.dimension)

    @cached_property
    def pairs(self) -> list[tuple[Side, Side]]:
        """The (low, high) sides of every axis."""
        return sides_of(self.sides, self.grid.dimension)

    @cached_property
    def _neighbours(self) -> list[tuple[Tensor, Tensor]]:
        """What lies before and behind every face, per axis."""
        found = []
        for a, ends in enumerate(self.pairs):
            first = self.cells.narrow(a + 1, 0, 1)
            low, high = (torch.full_like(first, SOLID if end == "solid" else OPEN) for end in ends)
            found.append((torch.cat([low, self.cells], a + 1), torch.cat([self.cells, high], a + 1)))
        return found

    @cached_property
    def closed(self) -> list[Tensor]:
        """Faces whose normal velocity is that of a solid, bool."""
        return [(before == SOLID) | (behind == SOLID) for before, behind in self._neighbours]

    @cached_property
    def buried(self) -> list[Tensor]:
        """Faces with a solid on both sides."""
        return [(before == SOLID) & (behind == SOLID) for before, behind in self._neighbours]

    @cached_property
    def free(self) -> list[Tensor]:
        """Faces between fluid and fluid, or fluid and open: the ones that a pressure moves."""
        return [
            ~closed & ((before == FLUID) | (behind == FLUID))
            for closed, (before, behind) in zip(self.closed, self._neighbours, strict=True)
        ]

    @cached_property
    def solid(self) -> Tensor:
        """Solid cells, bool."""
        return self.cells == SOLID

    @cached_property
    def has_solids(self) -> bool:
        """Whether any cell inside the box is solid."""
        return bool(self.solid.any())

    def impose(self, velocity: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The velocity with that of the solids on the faces that they close."""
        return tuple(
            torch.where(closed, own, u) for closed, own, u in zip(self.closed, self.velocity, velocity, strict=True)
        )

    def filled(self, values: Tensor, axis: int | None) -> Tensor:
        """A field on the faces normal to `axis` (None: at the centres), continued into solids and open air.

        Scalars and free-slip velocities are copied outwards, no-slip velocities mirrored about that of the wall.
        """
        if axis is None:
            return extrapolated(values, ~self.solid) if self.has_solids else values
        outward = extrapolated(values, self.free[axis])
        own, buried = self.velocity[axis], self.buried[axis]
        inside = outward if self.friction == "free-slip" else 2 * own - outward
        return torch.where(buried, inside, torch.where(self.closed[axis], own, outward))

    def with_ghosts(self, values: Tensor, axis: int | None) -> Tensor:
        """`filled`, with one layer around the box that makes the walls felt, ``(batch, *shape + 2)``."""
        values = self.filled(values, axis)
        for k in range(self.grid.dimension):
            ends = []
            for side, layer in ((0, values.narrow(k + 1, 0, 1)), (1, values.narrow(k + 1, values.shape[k + 1] - 1, 1))):
                if axis is None or k == axis or self.pairs[k][side] == "open" or self.friction == "free-slip":
                    ends.append(layer)
                else:
                    ends.append(2 * self.sliding(k, side, axis) - layer)
            values = torch.cat([ends[0], values, ends[1]], k + 1)
        return values

    def sliding(self, axis: int, side: int, component: int) -> float:
        """One component of the velocity of a box side."""
        velocity = self.side_velocity.get((axis, side))
        return 0.0 if velocity is None else float(velocity[component])
