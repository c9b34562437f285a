"""Finite-difference discretisation of the vorticity equation on the periodic unit square (Arakawa 1966)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.navier_stokes.fourier import resample

__all__ = ["ArakawaVorticity", "arakawa_jacobian"]


class ArakawaVorticity:
    """Second-order differences on `points` × `points` nodes: Arakawa's Jacobian and five-point Laplacians.

    The state is the vorticity on the nodes, ``(batch, points, points)``. The discrete Poisson equation of the stream
    function is solved exactly by a Fourier transform; nothing else is spectral.

    Parameters
    ----------
    points
        Nodes per axis.
    viscosity
        ν; its part of the equation is integrated explicitly.
    forcing
        Amplitude A of f = A (sin 2π(x+y) + cos 2π(x+y)).
    like
        Real tensor that gives dtype and device.
    """

    def __init__(self, points: int, viscosity: float, forcing: float, like: Tensor) -> None:
        self.points, self.viscosity = points, viscosity
        index = torch.arange(points, dtype=like.dtype, device=like.device)
        phase = 2 * math.pi * (index[:, None] + index[None, :]) / points
        self.source = forcing * (torch.sin(phase) + torch.cos(phase))
        sines = torch.sin(math.pi * index / points).square()
        eigenvalues = 4 * points**2 * (sines[:, None] + sines[None, : points // 2 + 1])
        self.inverse_laplacian = torch.where(eigenvalues > 0, 1 / eigenvalues, 0)

    def encode(self, field: Tensor) -> Tensor:
        """The trigonometric interpolant of real fields ``(batch, n, n)`` on the nodes."""
        return resample(field, self.points)

    def decode(self, state: Tensor, points: int) -> Tensor:
        """The trigonometric interpolant of a state on ``points`` × ``points`` nodes."""
        return resample(state, points)

    def tendency(self, state: Tensor) -> Tensor:
        """J(ψ, w) + ν Δ_h w + f, where J(ψ, w) = −u·∇w."""
        w = _neighbours(state)
        laplacian = (w.east + w.west + w.north + w.south - 4 * state) * self.points**2
        return arakawa_jacobian(self.stream_function(state), state) + self.viscosity * laplacian + self.source

    def decay(self, duration: float) -> Tensor:
        """One: no part of the equation is integrated exactly."""
        return torch.ones((), dtype=self.source.dtype, device=self.source.device)

    def frequency(self, state: Tensor) -> Tensor:
        """Bound of the advection's angular frequencies, ``(batch,)``: max (|u| + |v|) / h."""
        psi = _neighbours(self.stream_function(state))
        speed = (psi.north - psi.south).abs() + (psi.east - psi.west).abs()
        return speed.amax((1, 2)) * self.points**2 / 2

    def stream_function(self, state: Tensor) -> Tensor:
        """ψ with −Δ_h ψ = w and mean zero."""
        spectrum = torch.fft.rfft2(state) * self.inverse_laplacian
        return torch.fft.irfft2(spectrum, s=(self.points, self.points))


def arakawa_jacobian(psi: Tensor, w: Tensor) -> Tensor:
    """J(ψ, w) = ∂ψ/∂x ∂w/∂y − ∂ψ/∂y ∂w/∂x on the periodic unit square, shape ``(batch, n, n)``, to second order.

    The mean of the three second-order forms of Arakawa (1966): Σ J = Σ w J = Σ ψ J = 0.
    """
    p, q = _neighbours(psi), _neighbours(w)
    plain = (p.east - p.west) * (q.north - q.south) - (p.north - p.south) * (q.east - q.west)
    outer_w = (
        p.east * (q.north_east - q.south_east)
        - p.west * (q.north_west - q.south_west)
        - p.north * (q.north_east - q.north_west)
        + p.south * (q.south_east - q.south_west)
    )
    outer_psi = (
        q.north * (p.north_east - p.north_west)
        - q.south * (p.south_east - p.south_west)
        - q.east * (p.north_east - p.south_east)
        + q.west * (p.north_west - p.south_west)
    )
    return (plain + outer_w + outer_psi) * (psi.shape[-1] ** 2 / 12)


class _Neighbours(NamedTuple):
    """Values one node away; east is +x (the first grid axis), north is +y."""

    east: Tensor
    west: Tensor
    north: Tensor
    south: Tensor
    north_east: Tensor
    north_west: Tensor
    south_east: Tensor
    south_west: Tensor


def _neighbours(field: Tensor) -> _Neighbours:
    padded = torch.nn.functional.pad(field[:, None], (1, 1, 1, 1), mode="circular")[:, 0]
    low, here, high = slice(None, -2), slice(1, -1), slice(2, None)
    offsets = ((high, here), (low, here), (here, high), (here, low), (high, high), (low, high), (high, low), (low, low))
    return _Neighbours(*(padded[:, x, y] for x, y in offsets))
