"""Fourier series of periodic fields on the unit square: wave numbers, change of resolution, flow of a vorticity.

A field of n points an axis is identified with its trigonometric interpolant of the wave numbers |k| < n/2; the
Nyquist mode of an even n, whose phase the points do not tell, is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = [
    "energy",
    "energy_spectrum",
    "enstrophy",
    "from_fourier",
    "inverse_squares",
    "resample",
    "to_fourier",
    "velocity",
    "wave_vectors",
]


def wave_vectors(points: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """2π k_x ``(points, 1)`` and 2π k_y ``(1, points // 2 + 1)``, real, with the precision and device of ``like``."""
    dtype = like.dtype.to_real()
    k_x = torch.fft.fftfreq(points, 1 / points, dtype=dtype, device=like.device)[:, None]
    k_y = torch.fft.rfftfreq(points, 1 / points, dtype=dtype, device=like.device)[None, :]
    return 2 * math.pi * k_x, 2 * math.pi * k_y


def inverse_squares(k_x: Tensor, k_y: Tensor) -> Tensor:
    """1 / |k|², and 0 for the mean, which no velocity has a part in."""
    squares = k_x**2 + k_y**2
    return torch.where(squares > 0, 1 / squares, 0)


def to_fourier(field: Tensor, points: int) -> Tensor:
    """Coefficients ``(*batch, points, points // 2 + 1)`` of real fields ``(*batch, n, n)``; zero where n has none."""
    spectrum = torch.fft.rfft2(field, norm="forward")
    modes = (min(field.shape[-1], points) - 1) // 2
    positive, negative = spectrum[..., : modes + 1, : modes + 1], spectrum[..., -modes:, : modes + 1]
    between = field.new_zeros((*field.shape[:-2], points - 2 * modes - 1, modes + 1))
    rows = torch.cat([positive, between.to(spectrum.dtype), negative], dim=-2)
    return torch.nn.functional.pad(rows, (0, points // 2 - modes))


def from_fourier(spectrum: Tensor, points: int) -> Tensor:
    """Values on ``points`` × ``points`` left nodes of the series, cut at the wave numbers that they resolve."""
    n = spectrum.shape[-2]
    modes = (min(n, points) - 1) // 2
    positive, negative = spectrum[..., : modes + 1, : modes + 1], spectrum[..., -modes:, : modes + 1]
    between = spectrum.new_zeros((*spectrum.shape[:-2], points - 2 * modes - 1, modes + 1))
    rows = torch.cat([positive, between, negative], dim=-2)
    padded = torch.nn.functional.pad(rows, (0, points // 2 - modes))
    return torch.fft.irfft2(padded, s=(points, points), norm="forward")


def resample(field: Tensor, points: int) -> Tensor:
    """The trigonometric interpolant of ``(*batch, n, n)`` on ``points`` × ``points`` left nodes, cut to |k| < points/2.

    Examples
    --------
    >>> x = torch.arange(8, dtype=torch.float64)[:, None].expand(8, 8) / 8
    >>> wave = torch.sin(2 * math.pi * x)
    >>> torch.allclose(resample(resample(wave, 16), 8), wave)
    True
    """
    if not field.numel():  # an empty batch has no transform
        return field.new_zeros((*field.shape[:-2], points, points))
    return from_fourier(to_fourier(field, field.shape[-1]), points)


def velocity(vorticity: Tensor) -> Tensor:
    """u = (∂ψ/∂y, −∂ψ/∂x) with −Δψ = w and mean zero: ``(batch, 2, n, n)`` from ``(batch, 1, n, n)``."""
    spectrum = to_fourier(_checked(vorticity), vorticity.shape[-1])
    k_x, k_y = wave_vectors(vorticity.shape[-1], vorticity)
    psi = spectrum * inverse_squares(k_x, k_y)
    return from_fourier(torch.cat([1j * k_y * psi, -1j * k_x * psi], dim=1), vorticity.shape[-1])


def energy(vorticity: Tensor) -> Tensor:
    """½ ∫ |u|² of every sample, shape ``(batch,)``, from ``(batch, 1, n, n)``."""
    return velocity(vorticity).square().sum(1).mean((1, 2)) / 2


def enstrophy(vorticity: Tensor) -> Tensor:
    """½ ∫ w² of every sample, shape ``(batch,)``, from ``(batch, 1, n, n)``."""
    return _checked(vorticity).square().mean((1, 2, 3)) / 2


def energy_spectrum(vorticity: Tensor) -> Tensor:
    """Energy in the rings k − ½ ≤ |k| < k + ½ of wave numbers k = 0, 1, …, n/2 − 1.

    Parameters
    ----------
    vorticity
        Shape ``(batch, 1, n, n)``.

    Returns
    -------
    Tensor
        Shape ``(batch, n // 2)``. What lies in the corners |k| ≥ n/2 − ½ of the square of modes is not in it; the
        rest of `energy` is, ring by ring.
    """
    n = _checked(vorticity).shape[-1]
    k_x, k_y = wave_vectors(n, vorticity)
    spectrum = to_fourier(vorticity[:, 0], n)
    # Every mode with k_y > 0 stands for itself and its conjugate.
    density = spectrum.abs().square() * inverse_squares(k_x, k_y) / 2 * torch.where(k_y > 0, 2, 1)
    ring = ((k_x**2 + k_y**2).sqrt() / (2 * math.pi)).round().long()
    inside = ring < n // 2
    rings = density.new_zeros((len(vorticity), n // 2))
    return rings.index_add(1, ring[inside], density[:, inside])


def _checked(vorticity: Tensor) -> Tensor:
    if vorticity.ndim != 4 or vorticity.shape[1] != 1 or vorticity.shape[2] != vorticity.shape[3]:
        raise ProblemError(f"vorticity of shape {tuple(vorticity.shape)}: (batch, 1, n, n) is expected.")
    return vorticity
