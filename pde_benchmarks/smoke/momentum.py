"""The velocity before its projection: what advection, forces and friction make of it in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.advection import Advection, MacCormack
from pde_benchmarks.smoke.forces import Force
from pde_benchmarks.smoke.friction import FaceLaplacian
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.state import FlowState
from pde_benchmarks.smoke.tracing import Motion
from pde_benchmarks.smoke.viscosity import ExplicitViscosity, Viscosity

__all__ = ["AdamsBashforth", "Advanced", "Momentum", "Splitting"]

Velocity = tuple[Tensor, ...]


class Advanced(NamedTuple):
    """The new velocity, not yet divergence-free, and du/dt where the scheme remembers it."""

    velocity: Velocity
    tendency: Velocity | None


class Momentum(Protocol):
    """A scheme for du/dt = −(u·∇)u + ν Δu + forces."""

    @property
    def courant_limit(self) -> float:
        """Largest dt max|u| / h."""

    def largest_step(self, grid: MacGrid) -> float:
        """Largest dt that friction allows."""

    def advance(
        self, state: FlowState, motion: Motion, laplacians: Sequence[FaceLaplacian], forces: Sequence[Force], dt: float
    ) -> Advanced:
        """The velocity of `state` (whose scalars are new, its velocity that of `motion`) after `dt`."""


@dataclass(frozen=True)
class Splitting:
    """Advection, then forces, then friction: first order in time, stable for large steps.

    Parameters
    ----------
    advection
        `MacCormack` or `SemiLagrangian`.
    viscosity
        `ExplicitViscosity` or `ImplicitViscosity`; None: no friction.
    """

    advection: Advection = field(default_factory=MacCormack)
    viscosity: Viscosity | None = None

    @property
    def courant_limit(self) -> float:
        return self.advection.courant_limit

    def largest_step(self, grid: MacGrid) -> float:
        return inf if self.viscosity is None else self.viscosity.largest_step(grid)

    def advance(
        self, state: FlowState, motion: Motion, laplacians: Sequence[FaceLaplacian], forces: Sequence[Force], dt: float
    ) -> Advanced:
        walls = motion.walls
        carried = tuple(self.advection.carry([u], a, motion, dt)[0] for a, u in enumerate(state.velocity))
        pushed = list(walls.impose(carried))
        for force in forces:
            for a, acceleration in force.acceleration(state, walls).items():
                pushed[a] = pushed[a] + dt * acceleration
        velocity = walls.impose(tuple(pushed))
        if self.viscosity is None:
            return Advanced(velocity, None)
        return Advanced(self.viscosity.slow(velocity, laplacians, walls.grid, dt), None)


@dataclass(frozen=True)
class AdamsBashforth:
    """Centred fluxes and centred friction, extrapolated in time from two steps: second order in space and time.

    u* = u + dt ((1 + r/2) F − r/2 F_before), r the ratio of the two steps; the first step is Euler's. Keeps the energy
    up to the error in time, and adds no friction of its own: the flow must be resolved (u h / ν of a few).

    Parameters
    ----------
    viscosity
        ν, length² over time; stable for dt ≤ h² / (4 d ν).
    """

    viscosity: float

    courant_limit: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        ExplicitViscosity(self.viscosity)

    def largest_step(self, grid: MacGrid) -> float:
        return ExplicitViscosity(self.viscosity).largest_step(grid) / 2

    def advance(
        self, state: FlowState, motion: Motion, laplacians: Sequence[FaceLaplacian], forces: Sequence[Force], dt: float
    ) -> Advanced:
        walls = motion.walls
        if dt > self.largest_step(walls.grid) * (1 + 1e-12):
            raise ProblemError(
                f"time step {dt:.3g}: centred friction of viscosity {self.viscosity:g} is stable up to h²/(4 d ν) = "
                f"{self.largest_step(walls.grid):.3g}; take smaller steps, or Splitting with ImplicitViscosity."
            )
        accelerations = [force.acceleration(state, walls) for force in forces]
        rate, tendency = self.viscosity / walls.grid.spacing**2, []
        for a, u in enumerate(state.velocity):
            change = rate * laplacians[a](u) - _transport(motion, a)
            change = sum((force[a] for force in accelerations if a in force), change)
            tendency.append(torch.where(walls.free[a], change, 0))
        ratio = dt / state.last_step if state.tendency is not None and state.last_step > 0 else 0.0
        before = tendency if state.tendency is None else state.tendency
        velocity = tuple(
            u + dt * ((1 + ratio / 2) * now - ratio / 2 * then)
            for u, now, then in zip(state.velocity, tendency, before, strict=True)
        )
        return Advanced(velocity, tuple(tendency))


def _transport(motion: Motion, a: int) -> Tensor:
    """∇·(u_a u) on the faces normal to a, by centred fluxes through the sides of the cell around each face."""
    grid, total = motion.walls.grid, None
    for k in range(grid.dimension):
        # Ghost layers stay on the axis along which a mean is taken, and go from all others.
        carried = _mean(_trimmed(motion.ghosts[a], keep=k), k)
        carrying = carried if k == a else _mean(_trimmed(motion.ghosts[k], keep=a), a)
        change = (carried * carrying).diff(dim=k + 1) / grid.spacing
        total = change if total is None else total + change
    assert total is not None  # a grid has axes
    return total


def _trimmed(ghosts: Tensor, keep: int) -> Tensor:
    for axis in range(1, ghosts.ndim):
        if axis != keep + 1:
            ghosts = ghosts.narrow(axis, 1, ghosts.shape[axis] - 2)
    return ghosts


def _mean(values: Tensor, axis: int) -> Tensor:
    n = values.shape[axis + 1] - 1
    return (values.narrow(axis + 1, 0, n) + values.narrow(axis + 1, 1, n)) / 2
