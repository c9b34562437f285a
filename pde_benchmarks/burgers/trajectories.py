"""The viscous Burgers equation on a circle, followed over time from waves of low number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.periodic_evolution import PeriodicEvolution, periodic_grid
from pde_benchmarks.periodic_series import coefficients, require_resolved, steepening, values, wave_numbers
from pde_benchmarks.problem import Batch, FieldSpec

__all__ = ["BurgersTrajectories"]

WAVES = 3
LENGTH = 2 * math.pi


@dataclass(frozen=True)
class BurgersTrajectories(PeriodicEvolution):
    """∂u/∂t + u ∂u/∂x = ν ∂²u/∂x² for x in [0, 2π), periodic; the map u(·, 0) ↦ u(·, t₁), u(·, t₂), …

    u(x, 0) = Σ_{k=1..3} (a_k / k) sin(kx + φ_k) with a_k ~ N(0, 1) and φ_k uniform in [0, 2π). The grid's coordinate
    is x / 2π.

    The reference is a Fourier series on ``refinement`` times the points (products free of aliasing, Orszag's 2/3 rule)
    with fourth-order exponential Runge-Kutta steps; its frames are cut to the waves |k| < n/2. Halving the step, or
    doubling the refinement, changes trajectories by less than 1e-5 of their norm.

    Parameters
    ----------
    viscosity
        ν.
    resolution
        Points x_i = 2πi/n, even.
    refinement
        The reference carries the waves |k| < refinement · n / 2.
    frames, interval
        Number of instants, and time between two.
    step
        Longest time step of the reference.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = BurgersTrajectories(resolution=64, frames=4)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["velocity"].shape
    torch.Size([2, 4, 1, 64])
    """

    viscosity: float = 0.05
    resolution: int = 128
    refinement: int = 2
    frames: int = 20
    interval: float = 0.1
    step: float = 0.005
    name: ClassVar[str] = "burgers-trajectories"
    usual_samples: ClassVar[tuple[int, int]] = (512, 64)

    def __post_init__(self) -> None:
        self._require_sizes(8, viscosity=self.viscosity)
        if self.refinement < 1:
            raise ProblemError(f"{self.name} refinement {self.refinement}: at least 1 is needed.")

    @property
    def state(self) -> FieldSpec:
        """The velocity."""
        return FieldSpec("velocity", 1, periodic_grid(self.resolution))

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial velocities, float64, shape ``(count, 1, n)``."""
        device, shape = generator.device, (count, WAVES)
        heights = torch.randn(shape, generator=generator, dtype=torch.float64, device=device)
        phases = 2 * math.pi * torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        wave = torch.arange(1, WAVES + 1, device=device)
        x = LENGTH * self.grid.points(0).to(device)
        waves = torch.sin(wave[:, None] * x + phases[:, :, None])
        return Batch({"initial_velocity": ((heights / wave)[:, :, None] * waves).sum(1)[:, None]})

    def encode(self, field: Tensor) -> Tensor:
        """Coefficients of the waves that the reference carries, ``(batch, 1, modes + 1)``."""
        return coefficients(field, self.refinement * self.resolution)

    def decode(self, spectrum: Tensor) -> Tensor:
        """Velocities at the points, cut to the waves |k| < n/2."""
        return values(spectrum, self.resolution)

    def rates(self, device: torch.device) -> Tensor:
        """ν k²."""
        return self.viscosity * self._waves(device) ** 2

    def tendency(self, spectrum: Tensor) -> Tensor:
        """−(u²/2)_x."""
        return steepening(spectrum, self._waves(spectrum.device))

    def check_spectrum(self, spectrum: Tensor) -> None:
        """Refuse flows that steepen to layers thinner than the reference resolves."""
        require_resolved(self.name, spectrum, f"set refinement above {self.refinement}, or raise viscosity")

    def _waves(self, device: torch.device) -> Tensor:
        return wave_numbers(self.refinement * self.resolution, LENGTH, device)
