"""Pseudo-spectral discretisation of the vorticity equation on the periodic unit square."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.navier_stokes.fourier import from_fourier, inverse_squares, to_fourier, wave_vectors

__all__ = ["SpectralVorticity"]


class SpectralVorticity:
    """Galerkin's method with the waves |k_x|, |k_y| ≤ `modes`, products formed on `points` × `points` nodes.

    With ``points`` > 3 ``modes`` (the 2/3 rule, Orszag 1971) the products have no aliases in the modes kept. The
    advection is (∂_xx − ∂_yy)(u v) + ∂_xy (v² − u²) = u·∇w (Basdevant 1983): four transforms each time. A state is the
    array of Fourier coefficients ``(batch, points, points // 2 + 1)``.

    Parameters
    ----------
    points
        Nodes per axis on which products are formed.
    modes
        Highest wave number kept.
    viscosity
        ν; its part of the equation is integrated exactly.
    forcing
        Amplitude A of f = A (sin 2π(x+y) + cos 2π(x+y)).
    like
        Real tensor that gives dtype and device.
    """

    def __init__(self, points: int, modes: int, viscosity: float, forcing: float, like: Tensor) -> None:
        self.points, self.modes, self.viscosity = points, modes, viscosity
        k_x, k_y = wave_vectors(points, like)
        limit = 2 * math.pi * (modes + 0.5)
        self.kept = ((k_x.abs() < limit) & (k_y < limit)).to(like.dtype)
        self.squares = (k_x**2 + k_y**2) * self.kept
        inverse = inverse_squares(k_x, k_y) * self.kept
        self.flow = torch.stack([1j * k_y * inverse, -1j * k_x * inverse])
        self.curl = torch.stack([(k_x**2 - k_y**2) * self.kept, k_x * k_y * self.kept])
        self.source = self._source(forcing)

    def encode(self, field: Tensor) -> Tensor:
        """The state of real fields ``(batch, n, n)``."""
        return to_fourier(field, self.points) * self.kept

    def decode(self, state: Tensor, points: int) -> Tensor:
        """Fields ``(batch, points, points)`` of a state, cut to the wave numbers they resolve."""
        return from_fourier(state, points)

    def tendency(self, state: Tensor) -> Tensor:
        """f − u·∇w."""
        u, v = self._velocity(state).unbind(1)
        products = torch.fft.rfft2(torch.stack([u * v, v**2 - u**2], dim=1), norm="forward")
        return (products * self.curl).sum(1) + self.source

    def decay(self, duration: float) -> Tensor:
        """What viscosity leaves of every mode after ``duration``."""
        return torch.exp(-self.viscosity * duration * self.squares)

    def frequency(self, state: Tensor) -> Tensor:
        """Bound of the advection's angular frequencies, ``(batch,)``: k_max · max (|u| + |v|)."""
        return 2 * math.pi * self.modes * self.speed(state)

    def speed(self, state: Tensor) -> Tensor:
        """Largest |u| + |v| on the nodes, ``(batch,)``."""
        return self._velocity(state).abs().sum(1).amax((1, 2))

    def _velocity(self, state: Tensor) -> Tensor:
        return torch.fft.irfft2(state[:, None] * self.flow, s=(self.points, self.points), norm="forward")

    def _source(self, forcing: float) -> Tensor:
        """Of A (sin θ + cos θ), θ = 2π(x + y), the mode k = (1, 1) has the coefficient A (1 − i)/2."""
        coefficient = forcing * torch.tensor(0.5 - 0.5j, dtype=self.flow.dtype, device=self.flow.device)
        return torch.nn.functional.pad(coefficient.reshape(1, 1), (1, self.points // 2 - 1, 1, self.points - 2))
