"""A cheap, stable interval of the vorticity equation: few spectral steps on the field's own grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.navier_stokes.fourier import from_fourier, to_fourier, wave_vectors
from pde_benchmarks.navier_stokes.spectral import SpectralVorticity
from pde_benchmarks.navier_stokes.time_stepping import STABILITY_LIMIT, march

__all__ = ["large_steps"]

_STEPS_PER_POINT = 0.25


def large_steps(vorticity: Tensor, viscosity: float, forcing: float, interval: float) -> Tensor:
    """Vorticity ``(batch, 1, n, n)`` after ``interval``, by about n/4 spectral steps a unit of time.

    Every sample moves the waves that such a step can carry at its own speed (and that the 2/3 rule keeps); its shorter
    waves only decay. So the step is stable for every flow, however fast, and no sample's result depends on another's.
    Differentiable, in the dtype of the input; the choice of waves is held fixed.
    """
    if not len(vorticity):
        return vorticity
    field = vorticity[:, 0]
    n = field.shape[-1]
    scheme = SpectralVorticity(n, (n - 1) // 3, viscosity, forcing, field)
    steps = math.ceil(interval * n * _STEPS_PER_POINT)
    spectrum = to_fourier(field, n)
    k_x, k_y = wave_vectors(n, field)
    carried = _carried(scheme, spectrum, interval / steps, torch.maximum(k_x.abs(), k_y))
    moved = march(_Carrying(scheme, carried), spectrum * carried, steps, interval / steps)
    still = spectrum * (1 - carried) * torch.exp(-viscosity * interval * (k_x**2 + k_y**2))
    return from_fourier(moved + still, n)[:, None]


@torch.no_grad()
def _carried(scheme: SpectralVorticity, spectrum: Tensor, dt: float, largest: Tensor) -> Tensor:
    """1 for waves with dt · |k| · speed within the limit of stability, else 0; shape ``(batch, n, n // 2 + 1)``."""
    speed = scheme.speed(spectrum * scheme.kept)[:, None, None]
    return scheme.kept * (dt * speed * largest <= STABILITY_LIMIT)


@dataclass(frozen=True)
class _Carrying:
    """Galerkin's method in the waves where ``carried`` is 1."""

    scheme: SpectralVorticity
    carried: Tensor

    def tendency(self, state: Tensor) -> Tensor:
        return self.scheme.tendency(state) * self.carried

    def decay(self, duration: float) -> Tensor:
        return self.scheme.decay(duration)
