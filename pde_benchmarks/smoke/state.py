"""What a flow is at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.grid import MacGrid

__all__ = ["FlowState", "fluid_at_rest"]


@dataclass(frozen=True, eq=False)
class FlowState:
    """Velocity on the faces, what it carries at the centres, and the clock.

    Parameters
    ----------
    velocity
        Component a, ``(batch, *grid.face_shape(a))``, of one dtype.
    density, temperature
        ``(batch, *grid.shape)``, or None if the flow carries none.
    time
        In the unit of time.
    steps
        Steps taken since the start.
    tendency
        du/dt of the step before, for schemes that remember it.
    last_step
        Length of the step before.
    """

    velocity: tuple[Tensor, ...]
    density: Tensor | None = None
    temperature: Tensor | None = None
    time: float = 0.0
    steps: int = 0
    tendency: tuple[Tensor, ...] | None = None
    last_step: float = 0.0

    @property
    def kinetic_energy(self) -> Tensor:
        """Σ u² / 2 over all faces, ``(batch)``; times hᵈ and the density it is the energy of the flow."""
        return sum((u.flatten(1).square().sum(1) / 2 for u in self.velocity), torch.zeros(()))

    @property
    def mass(self) -> Tensor:
        """Sum of the density over the cells, ``(batch)``; zero if there is none."""
        batch = self.velocity[0].shape[0]
        return self.velocity[0].new_zeros(batch) if self.density is None else self.density.flatten(1).sum(1)

    def require(self, grid: MacGrid) -> None:
        """Raise `ProblemError` unless every array fits the grid, has the same batch and dtype, and is finite."""
        arrays = {f"velocity {a}": (u, grid.face_shape(a)) for a, u in enumerate(self.velocity)}
        arrays |= {
            name: (values, grid.shape)
            for name, values in (("density", self.density), ("temperature", self.temperature))
            if values is not None
        }
        if len(self.velocity) != grid.dimension:
            raise ProblemError(f"{len(self.velocity)} velocity components: the grid has {grid.dimension} axes.")
        first = self.velocity[0]
        for name, (values, shape) in arrays.items():
            expected = (first.shape[0], *shape)
            if tuple(values.shape) != expected:
                raise ProblemError(f"{name} {tuple(values.shape)}: {expected} is expected, the batch axis first.")
            if values.dtype != first.dtype or values.dtype not in (torch.float32, torch.float64):
                raise ProblemError(f"{name} of {values.dtype}: one dtype, float32 or float64, is expected.")
            if not bool(values.isfinite().all()):
                place = tuple((~values.isfinite()).nonzero()[0].tolist())
                raise ProblemError(f"{name} at {place} is {values[place].item()}: finite numbers are expected.")


def fluid_at_rest(grid: MacGrid, batch: int = 1, dtype: torch.dtype = torch.float64, carries: bool = True) -> FlowState:
    """Velocity zero; density and temperature zero, or None where the flow carries none.

    Examples
    --------
    >>> state = fluid_at_rest(MacGrid((4, 4), 0.25), batch=2)
    >>> [tuple(u.shape) for u in state.velocity]
    [(2, 5, 4), (2, 4, 5)]
    """
    velocity = tuple(torch.zeros(batch, *grid.face_shape(a), dtype=dtype) for a in range(grid.dimension))
    if not carries:
        return FlowState(velocity)
    density, temperature = (torch.zeros(batch, *grid.shape, dtype=dtype) for _ in range(2))
    return FlowState(velocity, density, temperature)
