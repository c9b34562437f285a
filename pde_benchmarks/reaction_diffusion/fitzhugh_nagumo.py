"""The FitzHugh–Nagumo equations: an activator and an inhibitor that spreads faster, and the patterns they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.reaction_diffusion.periodic import PeriodicReactionDiffusion

__all__ = ["FitzHughNagumo"]

# Of the initial fields: smooth on about a tenth of the interval; its waves are those of 32 points.
LAW = GaussianField(smoothness=4.0, inverse_length=20.0, boundary="periodic", modes=31)
DEVIATION = 0.5


@dataclass(frozen=True)
class FitzHughNagumo(PeriodicReactionDiffusion):
    """u_t = D_u Δu + u − u³ − v − κ, v_t = D_v Δv + u − v on the periodic unit interval or square; (u, v) over time.

    u is the activator (channel 0), v the inhibitor (channel 1). The constants are those of Takamoto et al. (2022,
    PDEBench), whose square has side 2 (hence a quarter of their diffusivities) and walls. u and v start as independent
    Gaussian fields of mean zero and standard deviation 0.5.

    The reference is Fourier collocation with fourth-order exponential Runge-Kutta steps; halving its step changes
    trajectories by less than 1e-6 of their norm, doubling the points from 64 on by less than 1e-4.

    Parameters
    ----------
    activator_diffusivity, inhibitor_diffusivity
        D_u, D_v.
    bias
        κ.
    dimension
        1 (interval) or 2 (square).
    resolution
        Points i/n per axis, even.
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
    >>> problem = FitzHughNagumo(dimension=2, resolution=32, frames=2)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["concentrations"].shape
    torch.Size([2, 2, 2, 32, 32])
    """

    activator_diffusivity: float = 2.5e-4
    inhibitor_diffusivity: float = 1.25e-3
    bias: float = 5e-3
    dimension: int = 1
    resolution: int = 64
    frames: int = 20
    interval: float = 0.25
    step: float = 0.025
    name: ClassVar[str] = "fitzhugh-nagumo"
    usual_samples: ClassVar[tuple[int, int]] = (512, 64)

    def __post_init__(self) -> None:
        positive = ("activator_diffusivity", "inhibitor_diffusivity")
        self._require_sizes(32, **{name: getattr(self, name) for name in positive})
        self._require_dimension()
        if not math.isfinite(self.bias):
            raise ProblemError(f"{self.name} bias {self.bias}: a finite number is needed; 0 for none.")

    @property
    def diffusivities(self) -> tuple[float, ...]:
        """D_u, D_v."""
        return self.activator_diffusivity, self.inhibitor_diffusivity

    def reaction(self, state: Tensor) -> Tensor:
        """u − u³ − v − κ and u − v; differentiable."""
        u, v = state.unbind(1)
        return torch.stack([u - u**3 - v - self.bias, u - v], 1)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial fields, float64, shape ``(count, 2, *grid)``: for one seed the same functions on every grid."""
        fields = DEVIATION * LAW.sample(2 * count, self.grid, generator) / LAW.amplitudes(self.dimension).norm()
        return Batch({"initial_concentrations": fields.reshape(count, 2, *self.grid.shape)})
