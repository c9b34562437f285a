"""Fourier series of periodic functions of one variable: change of resolution, steepening, and a check of resolution.

A function of n points is identified with its trigonometric interpolant of the waves |k| < n/2; the Nyquist wave of an
even n, whose phase the points do not tell, is left out. Coefficients are those of k = 0, 1, …, modes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["coefficients", "require_resolved", "steepening", "values", "wave_numbers"]

# The last eighth of the waves of a resolved flow is below this part of its largest one.
UNRESOLVED = 1e-3


def wave_numbers(points: int, length: float, device: torch.device | None = None) -> Tensor:
    """2πk/length of the waves that ``points`` nodes resolve, float64, shape ``(modes + 1,)``."""
    return 2 * math.pi / length * torch.arange((points - 1) // 2 + 1, dtype=torch.float64, device=device)


def coefficients(nodal: Tensor, points: int) -> Tensor:
    """Coefficients ``(…, modes + 1)`` of values ``(…, n)`` for the waves |k| < points/2; zero where n has none.

    Examples
    --------
    >>> x = torch.arange(8, dtype=torch.float64) / 8
    >>> coefficients(torch.cos(2 * math.pi * x), 16).abs().round(decimals=12)[:3].tolist()
    [0.0, 0.5, 0.0]
    """
    modes = (points - 1) // 2
    known = min(modes, (nodal.shape[-1] - 1) // 2)
    spectrum = torch.fft.rfft(nodal, norm="forward")[..., : known + 1]
    return torch.nn.functional.pad(spectrum, (0, modes - known))


def values(spectrum: Tensor, points: int) -> Tensor:
    """Values ``(…, points)`` at the left nodes of the series, cut to the waves |k| < points/2 that they resolve."""
    return torch.fft.irfft(spectrum[..., : (points - 1) // 2 + 1], n=points, norm="forward")


def steepening(spectrum: Tensor, waves: Tensor) -> Tensor:
    """−(u²/2)_x in coefficients ``(…, modes + 1)``, free of aliasing.

    The square is formed on more than 3 · modes nodes, so that 2/3 of their waves are those kept (Orszag 1971). The
    mean is exactly zero.
    """
    from scipy.fft import next_fast_len

    modes = spectrum.shape[-1] - 1
    points = next_fast_len(3 * modes + 1, real=True)
    square = torch.fft.irfft(spectrum, n=points, norm="forward").square()
    return -0.5j * waves.to(spectrum.dtype.to_real()) * torch.fft.rfft(square, norm="forward")[..., : modes + 1]


@torch.no_grad()
def require_resolved(name: str, spectrum: Tensor, remedy: str) -> None:
    """Refuse coefficients ``(batch, channel, modes + 1)`` that have not decayed at the last waves.

    Raises
    ------
    ProblemError
        With the number of the first such sample, and the remedy.
    """
    size = spectrum.abs()
    fine = size[..., -max(1, size.shape[-1] // 8) :].amax((1, 2))
    wrong = (fine > UNRESOLVED * size.amax((1, 2))).nonzero().flatten().tolist()
    if wrong:
        raise ProblemError(
            f"{name}: sample {wrong[0]} becomes so steep that {size.shape[-1] - 1} waves do not resolve it "
            f"({len(wrong)} of {len(size)} samples do): {remedy}."
        )
