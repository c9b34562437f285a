"""Accelerations of the faces: buoyancy and vorticity confinement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pde_benchmarks.smoke.state import FlowState
from pde_benchmarks.smoke.walls import Walls

__all__ = ["Buoyancy", "Force", "VorticityConfinement"]


class Force(Protocol):
    """Acceleration from the state."""

    def acceleration(self, state: FlowState, walls: Walls) -> dict[int, Tensor]:
        """Axis to acceleration of its faces, ``(batch, *face_shape)``; axes left out have none."""


@dataclass(frozen=True)
class Buoyancy:
    """du/dt = −α ρ + β (T − T₀) on the faces normal to `axis`, from the mean of the two cells (Fedkiw et al. 2001).

    Parameters
    ----------
    weight
        α, acceleration by a unit of density.
    lift
        β, acceleration by a unit of temperature.
    ambient
        T₀.
    axis
        The one that points upwards.
    """

    weight: float = 0.08
    lift: float = 0.97
    ambient: float = 0.0
    axis: int = 1

    def acceleration(self, state: FlowState, walls: Walls) -> dict[int, Tensor]:
        total: Tensor | None = None
        if state.density is not None:
            total = -self.weight * walls.filled(state.density, None)
        if state.temperature is not None:
            warm = self.lift * (walls.filled(state.temperature, None) - self.ambient)
            total = warm if total is None else total + warm
        return {} if total is None else {self.axis: _on_faces(total, self.axis)}


@dataclass(frozen=True)
class VorticityConfinement:
    """du/dt = ε h (N × ω) with N = ∇|ω| / |∇|ω||: gives back the small eddies that interpolation takes away.

    Steinhoff & Underhill 1994, Fedkiw, Stam & Jensen 2001.

    Parameters
    ----------
    strength
        ε, a number of the size of 0.1 to 10.
    """

    strength: float

    def acceleration(self, state: FlowState, walls: Walls) -> dict[int, Tensor]:
        h, d = walls.grid.spacing, walls.grid.dimension
        centre = [
            (u.narrow(a + 1, 0, n) + u.narrow(a + 1, 1, n)) / 2
            for a, (u, n) in enumerate(zip(state.velocity, walls.grid.shape, strict=True))
        ]

        def slope(f: Tensor, axis: int) -> Tensor:
            return _slope(f, axis) / (2 * h)

        if d == 2:
            curl = [slope(centre[1], 0) - slope(centre[0], 1)]
        else:
            curl = [slope(centre[(a + 2) % 3], (a + 1) % 3) - slope(centre[(a + 1) % 3], (a + 2) % 3) for a in range(3)]
        size = torch.linalg.vector_norm(torch.stack(curl), dim=0)
        uphill = torch.stack([slope(size, a) for a in range(d)])
        length = torch.linalg.vector_norm(uphill, dim=0)
        # Where the vorticity is uniform there is no direction to push; the floor keeps 0 / 0 away.
        normal = uphill / length.clamp(min=torch.finfo(length.dtype).tiny ** 0.5)
        if d == 2:
            push = [normal[1] * curl[0], -normal[0] * curl[0]]
        else:
            push = [normal[(a + 1) % 3] * curl[(a + 2) % 3] - normal[(a + 2) % 3] * curl[(a + 1) % 3] for a in range(3)]
        fluid = ~walls.solid
        return {a: _on_faces(self.strength * h * f * fluid, a) for a, f in enumerate(push)}


def _on_faces(values: Tensor, axis: int) -> Tensor:
    """The mean of the two cells of every face; that of the one cell at the sides of the box."""
    n = values.shape[axis + 1]
    first, last = values.narrow(axis + 1, 0, 1), values.narrow(axis + 1, n - 1, 1)
    return (torch.cat([first, values], axis + 1) + torch.cat([values, last], axis + 1)) / 2


def _slope(f: Tensor, axis: int) -> Tensor:
    """f(i + 1) − f(i − 1), with the values at the ends repeated."""
    n = f.shape[axis + 1]
    first, last = f.narrow(axis + 1, 0, 1), f.narrow(axis + 1, n - 1, 1)
    above = torch.cat([f.narrow(axis + 1, 1, n - 1), last], axis + 1)
    return above - torch.cat([first, f.narrow(axis + 1, 0, n - 1)], axis + 1)
