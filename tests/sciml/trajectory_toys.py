"""Evolutions whose solutions are known, small enough to be learned in a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from pde_benchmarks.datasets import Dataset
from pde_benchmarks.evolution import trajectory_metrics
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem, Scalars, Times


@dataclass(frozen=True)
class Spiral(Problem):
    """y' = A y in the plane: a slowly decaying rotation."""

    decay: float = 0.3
    speed: float = 2.0
    instants: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    name: ClassVar[str] = "spiral"

    @property
    def inputs(self):
        return (FieldSpec("initial_position", 2, Scalars()),)

    @property
    def outputs(self):
        return (FieldSpec("position", 2, Times(self.instants, Scalars())),)

    def sample(self, count, generator):
        return Batch({"initial_position": 2 * torch.rand(count, 2, generator=generator) - 1})

    def solve(self, inputs):
        t = torch.tensor(self.instants)
        size, angle = torch.exp(-self.decay * t), self.speed * t
        turns = size * torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()])
        return Batch({"position": torch.einsum("ijt,bj->bti", turns.reshape(2, 2, -1), inputs["initial_position"])})

    def metrics(self, prediction, truth):
        return trajectory_metrics(prediction["position"][..., None], truth["position"][..., None])


@dataclass(frozen=True)
class Waves(Problem):
    """Periodic fields of rank 4 that decay, given at one later time."""

    resolution: int = 16
    name: ClassVar[str] = "waves"

    @property
    def grid(self):
        return Grid((self.resolution,), "left", ("periodic",))

    @property
    def inputs(self):
        return (FieldSpec("initial_height", 1, self.grid),)

    @property
    def outputs(self):
        return (FieldSpec("height", 1, self.grid),)

    def sample(self, count, generator):
        x = 2 * math.pi * self.grid.points(0)
        modes = torch.stack([x.sin(), x.cos(), (2 * x).sin(), (2 * x).cos()]).float()
        return Batch({"initial_height": (torch.randn(count, 4, generator=generator) @ modes)[:, None]})

    def solve(self, inputs):
        return Batch({"height": 0.5 * inputs["initial_height"]})


@dataclass(frozen=True)
class OrnsteinUhlenbeck(Problem):
    """dy = −y dt + noise dW in the plane, with a known Gaussian law; one path for every initial state."""

    noise: float = 0.8
    instants: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    name: ClassVar[str] = "ornstein-uhlenbeck"

    @property
    def inputs(self):
        return (FieldSpec("initial_position", 2, Scalars()),)

    @property
    def outputs(self):
        return (FieldSpec("position", 2, Times(self.instants, Scalars())),)

    def sample(self, count, generator):
        return Batch({"initial_position": torch.randn(count, 2, generator=generator)})

    def solve(self, inputs):
        state, frames = inputs["initial_position"], []
        generator = torch.Generator().manual_seed(int(1e6 * state[0, 0].abs()))  # other noise for other states
        for gap in torch.tensor((0.0, *self.instants)).diff():
            state = torch.exp(-gap) * state + self.deviations(gap) * torch.randn(state.shape, generator=generator)
            frames.append(state)
        return Batch({"position": torch.stack(frames, 1)})

    def deviations(self, times):
        """Standard deviation after such times from a known state."""
        return self.noise * ((1 - torch.exp(-2 * times)) / 2).sqrt()

    def metrics(self, prediction, truth):
        return trajectory_metrics(prediction["position"][..., None], truth["position"][..., None])


def samples(problem: Problem, count: int, seed: int = 0) -> Dataset:
    inputs = problem.sample(count, torch.Generator().manual_seed(seed))
    return Dataset(problem, inputs, problem.solve(inputs), problem.name)
