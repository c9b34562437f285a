"""A rigid body: a shape, at rest or moving."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.pose import Pose
from pde_benchmarks.smoke.shapes import Shape

__all__ = ["Body"]


@dataclass(frozen=True)
class Body:
    """A shape that is carried along at `speed` and turns at `spin`, both constant, about a point that moves with it.

    Parameters
    ----------
    shape
        Where the body is at time 0.
    speed
        Velocity, a number an axis; None: at rest.
    spin
        Angular velocity in radians a time: one number in the plane (counter-clockwise), three in space; None: none.
    about
        The point it turns about at time 0; needed with `spin`.

    Raises
    ------
    ProblemError
        Numbers of axes that do not fit.

    Examples
    --------
    >>> from pde_benchmarks.smoke import Ball
    >>> grid, body = MacGrid((4, 4), 0.25), Body(Ball((0.125, 0.125), 0.1), speed=(0.5, 0.0))
    >>> [int(body.covers(grid, time).int().argmax()) for time in (0.0, 1.0)]
    [0, 8]
    """

    shape: Shape
    speed: tuple[float, ...] | None = None
    spin: tuple[float, ...] | None = None
    about: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        d = self.shape.dimension
        for name, given, count in (("speed", self.speed, d), ("spin", self.spin, 2 * d - 3), ("about", self.about, d)):
            if given is not None and len(given) != count:
                raise ProblemError(f"{name} {given}: {count} numbers are expected for a body in {d}-D.")
        if self.spin is not None and self.about is None:
            raise ProblemError(f"spin {self.spin} without a point: give about=, the point that the body turns about.")

    @property
    def moves(self) -> bool:
        """Whether it has a velocity anywhere."""
        return any((self.speed or (0.0,)) + (self.spin or (0.0,)))

    def covers(self, grid: MacGrid, time: float) -> Tensor:
        """Cells whose centre is inside at a time, bool ``(*grid.shape)``.

        Raises
        ------
        ProblemError
            The grid is of another dimension.
        """
        if self.shape.dimension != grid.dimension:
            raise ProblemError(f"an obstacle in {self.shape.dimension}-D: the grid has {grid.dimension} axes.")
        return self.shape.covers(grid, self.pose(time))

    def pose(self, time: float) -> Pose:
        """Where it is at a time."""
        rotation = torch.linalg.matrix_exp(time * self._generator)
        return Pose(rotation, self._vector(self.about), time * self._vector(self.speed))

    def velocity(self, points: Tensor, time: float) -> Tensor:
        """v + ω × (x − c(t)) at points ``(..., d)``."""
        v, c = self._vector(self.speed), self._vector(self.about) + time * self._vector(self.speed)
        return (v + (points.double() - c) @ self._generator.mT).to(points.dtype)

    @property
    def _generator(self) -> Tensor:
        """The matrix of ω ×."""
        d = self.shape.dimension
        if d == 2:
            (w,) = self.spin or (0.0,)
            return torch.tensor([[0.0, -w], [w, 0.0]], dtype=torch.float64)
        x, y, z = self.spin or (0.0, 0.0, 0.0)
        return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)

    def _vector(self, given: tuple[float, ...] | None) -> Tensor:
        return torch.tensor(given or (0.0,) * self.shape.dimension, dtype=torch.float64)
