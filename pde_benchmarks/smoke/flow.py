"""What flows how: the equations of a simulation, apart from its state and its pressure solver."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pde_benchmarks.smoke.advection import Advection, MacCormack
from pde_benchmarks.smoke.domain import Domain
from pde_benchmarks.smoke.forces import Force
from pde_benchmarks.smoke.momentum import Momentum, Splitting
from pde_benchmarks.smoke.pose import Pose
from pde_benchmarks.smoke.shapes import Shape
from pde_benchmarks.smoke.state import FlowState

__all__ = ["Flow", "Source"]


@dataclass(frozen=True)
class Source:
    """A part of the box that is kept full of warm smoke.

    Parameters
    ----------
    shape
        Where.
    density, temperature
        The values that are kept there.
    """

    shape: Shape
    density: float = 1.0
    temperature: float = 1.0

    def feed(self, state: FlowState, domain: Domain) -> tuple[Tensor | None, Tensor | None]:
        """Density and temperature with the kept values."""
        d, grid = domain.grid.dimension, domain.grid
        here = self.shape.covers(grid, Pose(torch.eye(d).double(), torch.zeros(d).double(), torch.zeros(d).double()))
        density = None if state.density is None else torch.where(here, self.density, state.density)
        temperature = None if state.temperature is None else torch.where(here, self.temperature, state.temperature)
        return density, temperature


@dataclass(frozen=True, eq=False)
class Flow:
    """Incompressible flow, ∂u/∂t + (u·∇)u = −∇p + ν Δu + forces, ∇·u = 0, and the smoke that it carries.

    Parameters
    ----------
    domain
        The box and its obstacles.
    momentum
        Scheme for the velocity: `Splitting` or `AdamsBashforth`.
    forces
        Such as `Buoyancy` and `VorticityConfinement`.
    carrier
        Scheme for density and temperature.
    source
        Where smoke enters; None: nowhere.
    allow_large_cfl
        Take steps beyond the schemes' Courant limits.
    """

    domain: Domain
    momentum: Momentum = field(default_factory=Splitting)
    forces: tuple[Force, ...] = ()
    carrier: Advection = field(default_factory=MacCormack)
    source: Source | None = None
    allow_large_cfl: bool = False

    def courant_limit(self, state: FlowState) -> float:
        """Largest dt max|u| / h of the schemes in use."""
        carries = state.density is not None or state.temperature is not None
        return min(self.momentum.courant_limit, self.carrier.courant_limit if carries else float("inf"))
