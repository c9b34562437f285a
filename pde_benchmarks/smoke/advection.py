"""What the flow carries: semi-Lagrangian and MacCormack steps, stable for any time step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from pde_benchmarks.smoke.interpolation import bounds, interpolate
from pde_benchmarks.smoke.tracing import Motion

__all__ = ["Advection", "MacCormack", "SemiLagrangian"]


class Advection(Protocol):
    """A way to carry fields along a motion."""

    #: Largest dt max|u| / h for which the method is meant.
    courant_limit: ClassVar[float]

    def carry(self, fields: Sequence[Tensor], axis: int | None, motion: Motion, dt: float) -> list[Tensor]:
        """Fields ``(batch, *grid.location(axis))`` after the time `dt`."""


@dataclass(frozen=True)
class SemiLagrangian:
    """f(x) ← f(x − dt u(x − dt u(x) / 2)) by multilinear interpolation (Stam 1999): first order, never overshoots.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.smoke import MacGrid, Motion, Walls
    >>> grid = MacGrid((4, 2), 1.0)
    >>> wind = (torch.ones(1, 5, 2), torch.zeros(1, 4, 3))  # one cell a unit of time
    >>> walls = Walls(grid, torch.ones(1, 4, 2, dtype=torch.int8), wind, sides="open")
    >>> smoke = torch.tensor([[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    >>> SemiLagrangian().carry([smoke], None, Motion(walls, wind), 0.5)[0][0, :, 0]
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """

    courant_limit: ClassVar[float] = 5.0

    def carry(self, fields: Sequence[Tensor], axis: int | None, motion: Motion, dt: float) -> list[Tensor]:
        where = motion.places_in(motion.departure(axis, dt).end, axis)
        return [interpolate(motion.walls.with_ghosts(f, axis), where).reshape(f.shape) for f in fields]


@dataclass(frozen=True)
class MacCormack:
    """A semi-Lagrangian step corrected by half the error of going there and back (Selle et al. 2008): second order.

    The uncorrected step is taken where the correction leaves the range of the values that were interpolated, and where
    a wall or the side of the box cuts one of the two ways short, so that they do not lead back to each other.
    """

    courant_limit: ClassVar[float] = 1.0

    def carry(self, fields: Sequence[Tensor], axis: int | None, motion: Motion, dt: float) -> list[Tensor]:
        walls = motion.walls
        back, forth = motion.departure(axis, dt), motion.departure(axis, -dt)
        before, after = motion.places_in(back.end, axis), motion.places_in(forth.end, axis)
        whole = back.is_whole & forth.is_whole
        carried = []
        for f in fields:
            source = walls.with_ghosts(f, axis)
            once = interpolate(source, before)
            returned = interpolate(walls.with_ghosts(once.reshape(f.shape), axis), after)
            corrected = once + (f.flatten(1) - returned) / 2
            low, high = bounds(source, before)
            within = whole & (corrected >= low) & (corrected <= high)
            carried.append(torch.where(within, corrected, once).reshape(f.shape))
        return carried
