"""Where the fluid at a point was a moment ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.smoke.interpolation import Spot, interpolate, spot
from pde_benchmarks.smoke.walls import Walls

__all__ = ["Motion", "Way"]

_BISECTIONS = 6

Points = tuple[Tensor, ...]


class Way(NamedTuple):
    """Where a way ends, one tensor ``(batch, points)`` an axis, and whether no wall or side cut it short, bool."""

    end: Points
    is_whole: Tensor


@dataclass(frozen=True, eq=False)
class Motion:
    """A velocity field that can be followed: points are in units of cells, one tensor ``(batch, points)`` an axis.

    Parameters
    ----------
    walls
        Where the fluid is.
    velocity
        ``(batch, *grid.face_shape(a))`` each.
    """

    walls: Walls
    velocity: tuple[Tensor, ...]

    @cached_property
    def ghosts(self) -> list[Tensor]:
        """Every component, continued beyond the walls."""
        return [self.walls.with_ghosts(u, a) for a, u in enumerate(self.velocity)]

    def spot(self, points: Points, axis: int | None) -> Spot:
        """Where `points` lie in an array `Walls.with_ghosts` on the faces normal to `axis` (None: at the centres)."""
        shape = [n + 2 for n in self.walls.grid.location(axis)]
        return spot([x + (1.0 if k == axis else 0.5) for k, x in enumerate(points)], shape)

    def at(self, points: Points) -> Points:
        """The velocity at `points`, in units of length over time."""
        return tuple(interpolate(u, self.spot(points, a)) for a, u in enumerate(self.ghosts))

    def places(self, axis: int | None) -> Points:
        """The faces normal to `axis` (None: the centres)."""
        first, grid = self.velocity[0], self.walls.grid
        points = grid.points(axis, torch.float64).reshape(-1, grid.dimension) / grid.spacing
        points = points.to(first.dtype).to(first.device)
        return tuple(points[:, k].expand(first.shape[0], -1) for k in range(grid.dimension))

    def departure(self, axis: int | None, dt: float) -> Way:
        """x − dt u(x − dt u(x) / 2) for all places, kept in the box and out of solids.

        A negative `dt` asks where the fluid will be.
        """
        start, rate = self.places(axis), dt / self.walls.grid.spacing
        middle = self.boxed(_moved(start, self.at(start), -rate / 2))
        wanted = _moved(start, self.at(middle), -rate)
        end = self.boxed(wanted)
        if self.walls.has_solids:
            end = self.stopped(start, end)
        same = [there == aim for there, aim in zip(end, wanted, strict=True)]
        return Way(end, torch.stack(same).all(0))

    def boxed(self, points: Points) -> Points:
        """The nearest points of the box."""
        return tuple(x.clamp(0, n) for x, n in zip(points, self.walls.grid.shape, strict=True))

    def stopped(self, start: Points, end: Points) -> Points:
        """`end`, or where the straight way there enters a solid cell."""
        reach = max(float((there - here).abs().max()) for here, there in zip(start, end, strict=True))
        count = max(ceil(2 * reach), 1)
        clear, fraction = torch.ones_like(start[0], dtype=torch.bool), torch.zeros_like(start[0])
        for step in range(1, count + 1):
            clear = clear & ~self._in_solid(_between(start, end, step / count))
            fraction = torch.where(clear, step / count, fraction)
        hit = fraction < 1
        if not bool(hit.any()):
            return end
        low, high = fraction, fraction + 1 / count
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            inside = self._in_solid(_between(start, end, middle))
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        return tuple(torch.where(hit, stop, there) for stop, there in zip(_between(start, end, low), end, strict=True))

    def _in_solid(self, points: Points) -> Tensor:
        corner = torch.zeros_like(points[0], dtype=torch.int64)
        for x, n in zip(points, self.walls.grid.shape, strict=True):
            corner = corner * n + x.floor().clamp(0, n - 1).to(torch.int64)
        solid = self.walls.solid.flatten(1)
        return solid.expand(corner.shape[0], -1).gather(1, corner)


def _moved(points: Points, velocity: Sequence[Tensor], time: float) -> Points:
    return tuple(x + time * u for x, u in zip(points, velocity, strict=True))


def _between(start: Points, end: Points, fraction: Tensor | float) -> Points:
    return tuple(a + fraction * (b - a) for a, b in zip(start, end, strict=True))
