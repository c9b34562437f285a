"""Everything that decides what a plume does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from pde_benchmarks.smoke import (
    ImplicitViscosity,
    MacCormack,
    Projection,
    SemiLagrangian,
    Simulation,
    Splitting,
    VorticityConfinement,
    plume,
)
from sciml.simulations.methods import pressure_method
from sciml.simulations.obstacles import obstacle_bodies

__all__ = ["PlumeSettings"]


@dataclass(frozen=True)
class PlumeSettings:
    """A warm plume in a box that is open at the top, round an obstacle.

    Parameters
    ----------
    resolution, dimension
        Cells along each of the 2 or 3 axes of the unit box.
    solver, tolerance
        Of the pressure: a name in `METHODS`, and the relative residual.
    obstacle, obstacle_size
        As in `obstacle_bodies`.
    dt
        Largest time step.
    advection
        How smoke and velocity are carried.
    confinement
        Strength of the vorticity confinement; 0: none.
    viscosity
        Kinematic viscosity, implicit; 0: none.
    dtype
        Precision.

    Examples
    --------
    >>> PlumeSettings(resolution=16, dimension=2, solver="cg", obstacle="none").simulation().state.velocity[0].shape
    torch.Size([1, 17, 16])
    """

    resolution: int = 64
    dimension: int = 3
    solver: str = "mgcg"
    tolerance: float = 1e-6
    obstacle: str = "ball"
    obstacle_size: float = 0.3
    dt: float = 0.02
    advection: Literal["maccormack", "semi-lagrangian"] = "maccormack"
    confinement: float = 0.0
    viscosity: float = 0.0
    dtype: Literal["float32", "float64"] = "float64"

    def simulation(self) -> Simulation:
        """The simulation at its start.

        Raises
        ------
        ConfigurationError, ProblemError
            A value that cannot be used.
        """
        method = pressure_method(self.solver, self.tolerance, self.dimension)
        bodies = obstacle_bodies(self.obstacle, self.dimension, self.obstacle_size)
        scheme = MacCormack() if self.advection == "maccormack" else SemiLagrangian()
        dtype = torch.float32 if self.dtype == "float32" else torch.float64
        flow, state = plume(self.resolution, self.dimension, bodies, scheme, dtype)
        if self.confinement > 0:
            flow = replace(flow, forces=(*flow.forces, VorticityConfinement(self.confinement)))
        if self.viscosity > 0:
            flow = replace(flow, momentum=Splitting(scheme, ImplicitViscosity(self.viscosity)))
        return Simulation(flow, state, Projection(*method))
