"""An evolution whose step is known exactly: the state moves by one cell and decays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from pde_benchmarks import FieldSpec, Grid
from pde_benchmarks.datasets import Dataset
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.problem import Batch
from pde_benchmarks.random_fields import GaussianField

DECAY = 0.9


@dataclass(frozen=True)
class Drift(EvolutionProblem):
    """u(x, t + 1) = 0.9 u(x − h, t)."""

    resolution: int = 16
    frames: int = 4
    interval: float = 1.0
    name: ClassVar[str] = "drift"
    guesses: ClassVar[tuple[str, ...]] = ("decay",)

    @property
    def state(self):
        return FieldSpec("density", 1, Grid((self.resolution,) * 2, "left", ("periodic", "periodic")))

    def sample(self, count, generator):
        field = GaussianField(3.0, 5.0, "periodic", modes=15)
        return Batch({"initial_density": field.sample(count, self.grid, generator)[:, None]})

    def advance(self, state):
        return DECAY * state.roll(1, -1)

    def guess_step(self, state, kind):
        return DECAY * state if kind in self.guesses else super().guess_step(state, kind)


def drift_data(count: int = 8, frames: int = 4, seed: int = 0) -> Dataset:
    problem = Drift(frames=frames)
    inputs = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, inputs, problem.solve(inputs), "drift")
