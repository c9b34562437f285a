"""The heat equation for a short time, on a periodic interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem


@dataclass(frozen=True)
class Smoothing(Problem):
    """u_t = u_xx from random waves to a later time, exactly."""

    resolution: int = 32
    duration: float = 0.01
    name: ClassVar[str] = "smoothing"

    @property
    def grid(self) -> Grid:
        return Grid((self.resolution,), "left", ("periodic",))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        return (FieldSpec("initial_temperature", 1, self.grid),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        return (FieldSpec("temperature", 1, self.grid),)

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        x = 2 * math.pi * self.grid.points(0)
        waves = torch.stack([f(k * x) for k in (1, 2, 3) for f in (torch.sin, torch.cos)]).float()
        return Batch({"initial_temperature": (torch.randn(count, 6, generator=generator) @ waves)[:, None]})

    def solve(self, inputs: Batch) -> Batch:
        spectrum = torch.fft.rfft(inputs["initial_temperature"])
        k = 2 * math.pi * torch.arange(spectrum.shape[-1])
        spectrum = spectrum * torch.exp(-self.duration * k**2)
        return Batch({"temperature": torch.fft.irfft(spectrum, n=self.resolution)})
