"""The Gray–Scott equations: a substance that feeds on another, in spots that split and spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.problem import Batch
from pde_benchmarks.reaction_diffusion.periodic import PeriodicReactionDiffusion

__all__ = ["GrayScott"]

SEEDS = 3
# Width of a seed, as the part of the axis within which it falls by e^(−1/2).
WIDTH = 0.05


@dataclass(frozen=True)
class GrayScott(PeriodicReactionDiffusion):
    """u_t = D_u Δu − u v² + F (1 − u), v_t = D_v Δv + u v² − (F + k) v on the periodic unit interval or square.

    Channel 0 is u, what is fed with, channel 1 is v, what feeds on it (Pearson 1993). At the start u = 1 − v and
    v = 1 − Π (1 − s) over three seeds s, placed uniformly, their heights uniform in [0.3, 0.6]: periodic bumps
    exp((Σ cos 2π(x − x₀) − d) / (2π · 0.05)²), Gaussian of width 0.05 near x₀.

    The reference is Fourier collocation with fourth-order exponential Runge-Kutta steps; halving its step changes
    trajectories by less than 1e-5 of their norm.

    Parameters
    ----------
    food_diffusivity, feeder_diffusivity
        D_u, D_v.
    feed, kill
        F, k.
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
    >>> problem = GrayScott(frames=2, interval=5.0)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["concentrations"].shape
    torch.Size([2, 2, 2, 128])
    """

    food_diffusivity: float = 2e-5
    feeder_diffusivity: float = 1e-5
    feed: float = 0.04
    kill: float = 0.06
    dimension: int = 1
    resolution: int = 128
    frames: int = 20
    interval: float = 10.0
    step: float = 1.0
    name: ClassVar[str] = "gray-scott"
    usual_samples: ClassVar[tuple[int, int]] = (512, 64)

    def __post_init__(self) -> None:
        positive = ("food_diffusivity", "feeder_diffusivity", "feed", "kill")
        self._require_sizes(32, **{name: getattr(self, name) for name in positive})
        self._require_dimension()

    @property
    def diffusivities(self) -> tuple[float, ...]:
        """D_u, D_v."""
        return self.food_diffusivity, self.feeder_diffusivity

    def reaction(self, state: Tensor) -> Tensor:
        """−u v² + F (1 − u) and u v² − (F + k) v; differentiable."""
        u, v = state.unbind(1)
        eaten = u * v**2
        return torch.stack([self.feed * (1 - u) - eaten, eaten - (self.feed + self.kill) * v], 1)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial fields, float64, shape ``(count, 2, *grid)``: for one seed the same functions on every grid."""
        device = generator.device
        drawn = torch.rand((count, SEEDS, 1 + self.dimension), generator=generator, dtype=torch.float64, device=device)
        heights, places = 0.3 + 0.3 * drawn[..., 0], drawn[..., 1:]
        seeds = heights.reshape(count, SEEDS, *[1] * self.dimension)
        for axis in range(self.dimension):
            x = self.grid.points(axis).to(device)
            fall = (torch.cos(2 * math.pi * (x - places[..., axis, None])) - 1) / (2 * math.pi * WIDTH) ** 2
            seeds = seeds * torch.exp(fall).reshape(
                count, SEEDS, *[1] * axis, len(x), *[1] * (self.dimension - 1 - axis)
            )
        v = 1 - (1 - seeds).prod(1)
        return Batch({"initial_concentrations": torch.stack([1 - v, v], 1)})
