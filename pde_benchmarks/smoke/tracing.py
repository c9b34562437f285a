"""Where the fluid at a point was a moment ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.smoke.interpolation import interpolate
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

    def places_in(self, points: Points, axis: int | None) -> Points:
        """`points` by the index of `Walls.with_ghosts` arrays on the faces normal to `axis` (None: at the centres)."""
        return tuple(x + (1.0 if k == axis else 0.5) for k, x in enumerate(points))

    def at(self, points: Points) -> Points:
        """The velocity at `points`, in units of length over time."""
        return tuple(interpolate(u, self.places_in(points, a)) for a, u in enumerate(self.ghosts))

    def places(self, axis: int | None) -> Points:
        """The faces normal to `axis` (None: the centres)."""
        first, grid = self.velocity[0], self.walls.grid
        points = grid.points(axis, torch.float64).reshape(-1, grid.dimension) / grid.spacing
        points = points.to(first.dtype).to(first.device)
        return tuple(points[:, k].expand(first.shape[0], -1) for k in range(grid.dimension))

    @cached_property
    def _starts(self) -> dict[int | None, tuple[Points, Points]]:
        return {}

    def _start(self, axis: int | None) -> tuple[Points, Points]:
        """The places, and the velocity there: the same for ways forwards and backwards."""
        if axis not in self._starts:
            places = self.places(axis)
            self._starts[axis] = places, self.at(places)
        return self._starts[axis]

    def departure(self, axis: int | None, dt: float) -> Way:
        """x − dt u(x − dt u(x) / 2) for all places, kept in the box and out of solids.

        A negative `dt` asks where the fluid will be.
        """
        (start, here), rate = self._start(axis), dt / self.walls.grid.spacing
        middle = self.boxed(_moved(start, here, -rate / 2))
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
        samples = torch.arange(len(start[0]), device=start[0].device)[:, None]
        clear, fraction = torch.ones_like(start[0], dtype=torch.bool), torch.zeros_like(start[0])
        for step in range(1, count + 1):
            clear = clear & ~self._in_solid(_between(start, end, step / count), samples)
            fraction = torch.where(clear, step / count, fraction)
        hit = fraction < 1
        if not bool(hit.any()):
            return end
        sample = hit.nonzero()[:, 0]
        first, last = (tuple(x[hit] for x in points) for points in (start, end))
        low = fraction[hit]
        high = low + 1 / count
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            inside = self._in_solid(_between(first, last, middle), sample)
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
        stops = _between(first, last, low)
        return tuple(there.masked_scatter(hit, stop) for stop, there in zip(stops, end, strict=True))

    def _in_solid(self, points: Points, sample: Tensor) -> Tensor:
        """Whether points of these samples are in solid cells."""
        solid = self.walls.solid
        number = sample if len(solid) > 1 else torch.zeros_like(sample)
        for x, n in zip(points, self.walls.grid.shape, strict=True):
            number = number * n + x.floor().clamp(0, n - 1).to(torch.int64)
        return solid.reshape(-1)[number]


def _moved(points: Points, velocity: Sequence[Tensor], time: float) -> Points:
    return tuple(x + time * u for x, u in zip(points, velocity, strict=True))


def _between(start: Points, end: Points, fraction: Tensor | float) -> Points:
    return tuple(a + fraction * (b - a) for a, b in zip(start, end, strict=True))
