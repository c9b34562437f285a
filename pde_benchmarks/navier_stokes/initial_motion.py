"""How a vorticity begins to move: its Taylor series in time, and its transport by the velocity at the start."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.navier_stokes.fourier import to_fourier
from pde_benchmarks.navier_stokes.frozen_flow import Waves

__all__ = ["after_diffusion", "carried_by_initial_flow", "initial_rates"]


def initial_rates(vorticity: Tensor, viscosity: float, count: int) -> list[Tensor]:
    """∂ᵏw/∂tᵏ / k! at the start, k = 1 … ``count``, of fields ``(batch, n, n)`` under ∂w/∂t + u·∇w = ν Δw.

    By Leibniz' rule (k + 1) w_{k+1} = ν Δw_k − Σ_j u_j·∇w_{k−j}, in the residual's own space discretisation.
    """
    waves = Waves(vorticity.shape[-1], vorticity)
    series, flows = [waves.spectrum(vorticity)], []
    for k in range(count):
        flows.append(waves.flow(series[k]))
        moved = sum((flows[j][:, :2] * flows[k - j][:, 2:]).sum(1) for j in range(k + 1))
        assert isinstance(moved, Tensor)
        series.append(-(waves.spectrum(moved) + viscosity * waves.squares * series[k]) / (k + 1))
    return [waves.field(term) for term in series[1:]]


def carried_by_initial_flow(vorticity: Tensor, frames: int, step: float) -> Tensor:
    """w₀(X(−t; x)) at t = 0, ``step``, …: ``(batch, frames, n, n)`` from ``(batch, n, n)``; X follows the flow u₀.

    What ∂w/∂t + u₀·∇w = 0, with the velocity of w₀, makes of w₀. Paths by one midpoint step a frame, fields between
    the nodes by their Fourier series.
    """
    count, n = vorticity.shape[:2]
    waves = Waves(n, vorticity)
    flow = waves.flow(waves.spectrum(vorticity))[:, :2]
    x = (torch.arange(n, dtype=vorticity.dtype, device=vorticity.device) / n).expand(n, n)
    points = torch.stack([x.T, x], -1).reshape(1, n * n, 2).expand(count, -1, -1)
    seen = [points]
    for _ in range(frames - 1):
        half = points - step / 2 * _at_points(flow, points)
        points = points - step * _at_points(flow, half)
        seen.append(points)
    return _at_points(vorticity[:, None], torch.cat(seen, 1)).reshape(count, frames, n, n)


def after_diffusion(fields: Tensor, spans: Tensor) -> Tensor:
    """exp(s Δ) of periodic fields ``(…, n, n)`` for the diffusion spans s = νt, ``(…)`` (broadcast).

    Examples
    --------
    >>> wave = torch.sin(2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8).expand(1, 8, 8)
    >>> span = torch.tensor([math.log(2) / (4 * math.pi**2)], dtype=torch.float64)
    >>> torch.allclose(after_diffusion(wave, span), wave / 2)
    True
    """
    waves = Waves(fields.shape[-1], fields)
    return waves.field(waves.spectrum(fields) * torch.exp(-spans[..., None, None] * waves.squares))


def _at_points(fields: Tensor, points: Tensor) -> Tensor:
    """Fourier series of ``(batch, channels, n, n)`` at ``(batch, p, 2)``: ``(batch, p, channels)``."""
    n = fields.shape[-1]
    modes = (n - 1) // 2
    spectrum = to_fourier(fields, n)
    # Rows k_x = −modes … modes; every wave with k_y > 0 stands for itself and its conjugate.
    spectrum = torch.cat([spectrum[..., -modes:, : modes + 1], spectrum[..., : modes + 1, : modes + 1]], -2)
    spectrum[..., 1:] *= 2
    unit = torch.polar(torch.ones_like(points), 2 * math.pi * points)
    powers = torch.cat([torch.ones_like(unit)[..., None], unit[..., None].expand(*unit.shape, modes)], -1).cumprod(-1)
    along = torch.cat([powers[..., 0, 1:].conj().flip(-1), powers[..., 0, :]], -1)
    return ((along[:, None] @ spectrum) * powers[:, None, :, 1]).sum(-1).real.transpose(1, 2)
