"""Evolutions on periodic grids whose linear part is diagonal in Fourier modes: exponential steps in float64."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.exponential_integrator import ExponentialSteps
from pde_benchmarks.finite_states import require_finite_flow, require_finite_start
from pde_benchmarks.grid import Grid
from pde_benchmarks.problem import Batch

__all__ = ["PeriodicEvolution", "periodic_grid"]


class PeriodicEvolution(EvolutionProblem):
    """c' = −λ c + N(c) for the Fourier coefficients c of a periodic state: steps of `ExponentialSteps`.

    Subclasses are frozen dataclasses with the fields ``resolution`` (points per axis), ``frames``, ``interval`` and
    ``step`` (longest time step of the reference); an interval is cut into equal steps.
    """

    resolution: int
    step: float

    @abstractmethod
    def encode(self, field: Tensor) -> Tensor:
        """Coefficients, complex, of states ``(batch, channel, *grid)``."""

    @abstractmethod
    def decode(self, spectrum: Tensor) -> Tensor:
        """States ``(batch, channel, *grid)`` of coefficients."""

    @abstractmethod
    def rates(self, device: torch.device) -> Tensor:
        """λ, float64, of a shape that broadcasts with the coefficients."""

    @abstractmethod
    def tendency(self, spectrum: Tensor) -> Tensor:
        """N(c)."""

    def check_spectrum(self, spectrum: Tensor) -> None:
        """Refuse coefficients of a frame that mean nothing; by default none."""

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial functions (cut to the waves resolved), on another grid."""
        return dataclasses.replace(self, resolution=resolution)  # type: ignore[type-var]

    def solve(self, inputs: Batch) -> Batch:
        """Reference trajectories ``(count, frames, channel, *grid)``, computed in float64; differentiable.

        Raises
        ------
        ProblemError
            If an initial state is not finite or a flow does not stay so (with the sample's number).
        """
        return Batch({self.state.name: self._trajectory(inputs[self.inputs[0].name], self.frames)})

    def advance(self, state: Tensor) -> Tensor:
        """States ``(batch, channel, *grid)`` one interval later, computed in float64; differentiable."""
        return self._trajectory(state, 1)[:, 0]

    def _trajectory(self, start: Tensor, frames: int) -> Tensor:
        if not len(start):  # an empty batch has no transform
            return start.new_zeros((0, frames, *start.shape[1:]))
        require_finite_start(self.name, start)
        count = math.ceil(self.interval / self.step - 1e-9)
        steps = ExponentialSteps(self.rates(start.device), self.interval / count)
        spectrum, seen = self.encode(start.to(torch.float64)), []
        for _ in range(frames):
            spectrum = steps.advance(spectrum, count, self.tendency)
            require_finite_flow(self.name, spectrum, f"set step below {self.step:.3g}, or scale its start down")
            self.check_spectrum(spectrum)
            seen.append(self.decode(spectrum))
        return torch.stack(seen, 1).to(start.dtype)

    def _require_sizes(self, least: int, **positive: float) -> None:
        """Refuse parameters that make no evolution; raises ProblemError."""
        if self.resolution < least or self.resolution % 2:
            raise ProblemError(
                f"{self.name} resolution {self.resolution}: an even number, at least {least}, is needed."
            )
        if self.frames < 1:
            raise ProblemError(f"{self.name} frames {self.frames}: at least 1 is needed.")
        for name, value in {"interval": self.interval, "step": self.step, **positive}.items():
            if not 0 < value < math.inf:
                raise ProblemError(f"{self.name} {name} {value}: a positive number is needed.")


def periodic_grid(resolution: int, dim: int = 1) -> Grid:
    """Left nodes i/n on every axis of the periodic unit cube."""
    return Grid((resolution,) * dim, "left", ("periodic",) * dim)
