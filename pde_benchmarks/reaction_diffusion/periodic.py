"""Diffusion of several substances on a periodic cube with reactions at every point."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.periodic_evolution import PeriodicEvolution, periodic_grid
from pde_benchmarks.problem import FieldSpec

__all__ = ["PeriodicReactionDiffusion"]


class PeriodicReactionDiffusion(PeriodicEvolution):
    """∂u_c/∂t = D_c Δu_c + R_c(u) on the periodic unit interval or square: Fourier collocation at the points.

    Subclasses are frozen dataclasses with the fields of `PeriodicEvolution` and ``dimension``, 1 or 2. Diffusion is
    exact, the reactions are evaluated at the points.
    """

    dimension: int

    @property
    @abstractmethod
    def diffusivities(self) -> tuple[float, ...]:
        """D_c of every channel."""

    @abstractmethod
    def reaction(self, state: Tensor) -> Tensor:
        """R(u) of states ``(batch, channel, *grid)``."""

    @property
    def state(self) -> FieldSpec:
        """The concentrations, one channel a substance."""
        return FieldSpec("concentrations", len(self.diffusivities), periodic_grid(self.resolution, self.dimension))

    def encode(self, field: Tensor) -> Tensor:
        """Coefficients ``(batch, channel, *modes)`` of all waves that the points tell."""
        return torch.fft.rfftn(field, dim=self._axes, norm="forward")

    def decode(self, spectrum: Tensor) -> Tensor:
        """Values at the points."""
        return torch.fft.irfftn(spectrum, s=self.grid.shape, dim=self._axes, norm="forward")

    def rates(self, device: torch.device) -> Tensor:
        """D_c |k|², shape ``(channel, *modes)``."""
        n = self.resolution
        squares = (2 * math.pi * torch.fft.rfftfreq(n, 1 / n, dtype=torch.float64, device=device)) ** 2
        if self.dimension == 2:
            squares = (2 * math.pi * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=device))[
                :, None
            ] ** 2 + squares
        each = torch.tensor(self.diffusivities, dtype=torch.float64, device=device)
        return each.reshape(-1, *[1] * self.dimension) * squares

    def tendency(self, spectrum: Tensor) -> Tensor:
        """The reactions."""
        return self.encode(self.reaction(self.decode(spectrum)))

    def _require_dimension(self) -> None:
        if self.dimension not in (1, 2):
            raise ProblemError(f"{self.name} dimension {self.dimension}: 1 or 2 is needed.")

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.dimension, 0))
