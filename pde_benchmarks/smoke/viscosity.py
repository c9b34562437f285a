"""The viscous part of a step: explicit where that is stable, implicit through a linear solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.friction import FaceLaplacian
from pde_benchmarks.smoke.grid import MacGrid
from solvers import CG, DiffusionOperator, Preconditioner, Solver, linear_solve

__all__ = ["ExplicitViscosity", "ImplicitViscosity", "Viscosity"]

Velocity = tuple[Tensor, ...]


class Viscosity(Protocol):
    """u ↦ u after the time dt of friction alone."""

    def largest_step(self, grid: MacGrid) -> float:
        """Largest stable dt."""

    def slow(self, velocity: Velocity, laplacians: Sequence[FaceLaplacian], grid: MacGrid, dt: float) -> Velocity:
        """The velocity ``(batch, *face_shape)`` each, after `dt`."""


@dataclass(frozen=True)
class ExplicitViscosity:
    """u ← u + dt ν Δu, stable for dt ≤ h² / (2 d ν).

    Parameters
    ----------
    viscosity
        ν, length² over time.

    Raises
    ------
    ProblemError
        ν is negative or not finite, or dt is above the limit.
    """

    viscosity: float

    def __post_init__(self) -> None:
        _require_viscosity(self.viscosity)

    def largest_step(self, grid: MacGrid) -> float:
        return inf if self.viscosity == 0 else grid.spacing**2 / (2 * grid.dimension * self.viscosity)

    def slow(self, velocity: Velocity, laplacians: Sequence[FaceLaplacian], grid: MacGrid, dt: float) -> Velocity:
        limit = self.largest_step(grid)
        if dt > limit * (1 + 1e-12):
            raise ProblemError(
                f"time step {dt:.3g}: explicit viscosity {self.viscosity:g} is stable up to h²/(2 d ν) = {limit:.3g}; "
                "take smaller steps, or ImplicitViscosity."
            )
        rate = dt * self.viscosity / grid.spacing**2
        return tuple(u + rate * laplacian(u) for u, laplacian in zip(velocity, laplacians, strict=True))


@dataclass(frozen=True)
class ImplicitViscosity:
    """(1 − dt ν Δ) u_new = u, stable for every dt.

    Parameters
    ----------
    viscosity
        ν, length² over time.
    solver, preconditioner
        For symmetric positive definite systems, one for each component.
    """

    viscosity: float
    solver: Solver = field(default_factory=CG)
    preconditioner: Preconditioner | None = None

    def __post_init__(self) -> None:
        _require_viscosity(self.viscosity)

    def largest_step(self, grid: MacGrid) -> float:
        return inf

    def slow(self, velocity: Velocity, laplacians: Sequence[FaceLaplacian], grid: MacGrid, dt: float) -> Velocity:
        rate, slowed = dt * self.viscosity / grid.spacing**2, []
        for u, laplacian in zip(velocity, laplacians, strict=True):
            A = laplacian.operator
            assert A.reaction is not None  # face_laplacians gives one
            implicit = DiffusionOperator([rate * t for t in A.faces], 1 + rate * A.reaction)
            b = (u + rate * laplacian.source).flatten(1)
            x = linear_solve(implicit, b, self.solver, self.preconditioner, u.flatten(1)).value
            slowed.append(x.reshape(u.shape))
        return tuple(slowed)


def _require_viscosity(viscosity: float) -> None:
    if not 0 <= viscosity < inf:
        raise ProblemError(f"viscosity {viscosity}: a finite number of at least 0 is expected.")
