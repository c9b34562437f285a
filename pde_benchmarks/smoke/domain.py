"""The box of a flow: its grid, sides, obstacles and what is pushed in, from which the walls of any moment follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, SOLID, Sides, sides_of
from pde_benchmarks.smoke.body import Body
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.walls import Friction, Walls

__all__ = ["Domain"]


@dataclass(frozen=True, eq=False)
class Domain:
    """Everything about the box that does not depend on the flow.

    Parameters
    ----------
    grid
        Its cells.
    sides
        "solid" or "open", one for all, or one or a (low, high) pair an axis.
    friction
        "free-slip" or "no-slip", of all walls.
    bodies
        Obstacles, the same in all samples.
    cells
        Solid, fluid and open cells beside the bodies, ``(batch or 1, *grid.shape)``; None: all fluid.
    side_velocity
        Velocity, a number an axis, of solid sides (axis, 0 low or 1 high). Its normal component is the velocity of the
        fluid that is pushed through that side: positive on a low side flows in.
    inflow
        Normal velocity of a solid side (axis, 0 or 1) that varies over it: broadcasts to ``(batch or 1, *side)``, the
        grid's shape with one face along the axis.

    Raises
    ------
    ProblemError
        Sides or friction of another name, velocities of a side that does not exist or is open, bodies of another
        dimension.
    """

    grid: MacGrid
    sides: Sides = "solid"
    friction: Friction = "free-slip"
    bodies: tuple[Body, ...] = ()
    cells: Tensor | None = None
    side_velocity: Mapping[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)
    inflow: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        d = self.grid.dimension
        pairs = sides_of(self.sides, d)
        if self.friction not in ("free-slip", "no-slip"):
            raise ProblemError(f'friction {self.friction!r}: "free-slip" or "no-slip" is expected.')
        for place in (*self.side_velocity, *self.inflow):
            axis, end = place
            if not (0 <= axis < d and end in (0, 1)):
                raise ProblemError(f"side {place}: (axis, 0 or 1) with an axis below {d} is expected.")
            if pairs[axis][end] == "open":
                raise ProblemError(f"side {place} is open, where the pressure makes the velocity: make it solid.")
        for velocity in self.side_velocity.values():
            if len(velocity) != d:
                raise ProblemError(f"side velocity {velocity}: {d} numbers are expected.")
        if self.cells is not None and tuple(self.cells.shape[1:]) != self.grid.shape:
            raise ProblemError(
                f"cells {tuple(self.cells.shape)}: (batch or 1, {', '.join(map(str, self.grid.shape))}) is expected."
            )

    @property
    def moves(self) -> bool:
        """Whether the walls change with time."""
        return any(body.moves for body in self.bodies)

    def walls(self, time: float = 0.0, dtype: torch.dtype = torch.float64) -> Walls:
        """Cells and velocities of everything solid at a time.

        Raises
        ------
        ProblemError
            The bodies leave no fluid.
        """
        cells = torch.full((1, *self.grid.shape), FLUID, dtype=torch.int8) if self.cells is None else self.cells
        velocity = [self._of_sides(a, dtype) for a in range(self.grid.dimension)]
        for body in self.bodies:
            covered = body.covers(self.grid, time)
            cells = torch.where(covered, torch.full_like(cells, SOLID), cells)
            if body.moves:
                velocity = [
                    torch.where(_touching(covered, a), body.velocity(self.grid.points(a, dtype), time)[..., a], u)
                    for a, u in enumerate(velocity)
                ]
        return Walls(self.grid, cells, tuple(velocity), self.sides, self.friction, self.side_velocity)

    def _of_sides(self, a: int, dtype: torch.dtype) -> Tensor:
        """Normal velocities on the sides across axis a, zero on all other faces."""
        u = torch.zeros(1, *self.grid.face_shape(a), dtype=dtype)
        for end, layer in ((0, 0), (1, self.grid.shape[a])):
            if (a, end) in self.side_velocity:
                u.select(a + 1, layer).fill_(self.side_velocity[a, end][a])
            if (a, end) in self.inflow:
                given = self.inflow[a, end].to(dtype)
                if given.ndim == u.ndim and given.shape[0] > u.shape[0]:
                    u = u.repeat(given.shape[0], *[1] * self.grid.dimension)
                u.narrow(a + 1, layer, 1).copy_(given)
        return u


def _touching(covered: Tensor, axis: int) -> Tensor:
    """Faces with a covered cell on one side."""
    end = torch.zeros_like(covered.narrow(axis, 0, 1))
    return torch.cat([end, covered], axis) | torch.cat([covered, end], axis)
