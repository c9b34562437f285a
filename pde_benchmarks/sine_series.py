"""Sine series on the unit interval: functions that vanish at both ends, from their values and back, and their jets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.jet import Jet

__all__ = ["decaying_jet", "integral_jet", "sine_coefficients", "sine_values", "sines"]


def sine_coefficients(values: Tensor) -> Tensor:
    """c_k, k = 1 … n − 2, of the sum Σ c_k sin kπx that takes ``values (…, n)`` at i/(n − 1).

    The values at both ends are not read: the series is zero there. Its inverse is `sine_values`.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 6, dtype=torch.float64)
    >>> sine_coefficients(3 * torch.sin(2 * math.pi * x)).round(decimals=12).abs().tolist()
    [0.0, 3.0, 0.0, 0.0]
    """
    inner = values[..., 1:-1]
    if not inner.numel():  # an empty batch has no transform
        return inner
    end = torch.zeros_like(values[..., :1])
    odd = torch.cat([end, inner, end, -inner.flip(-1)], -1)
    return -torch.fft.rfft(odd).imag[..., 1:-1] / (values.shape[-1] - 1)


def sine_values(coefficients: Tensor, count: int) -> Tensor:
    """Σ c_k sin kπx at ``count`` points i/(count − 1), both ends included: ``(…, count)``.

    All modes are resolved where there are two points more than modes, or more.
    """
    last = count - 1
    if not coefficients.numel():
        return coefficients.new_zeros(*coefficients.shape[:-1], count)
    spectrum = torch.nn.functional.pad(-1j * last * coefficients, (1, last - coefficients.shape[-1]))
    return torch.fft.irfft(spectrum, n=2 * last)[..., :count]


def decaying_jet(coefficients: Tensor, rates: Tensor, points: Tensor, order: int = 1) -> Jet:
    """Σ c_k e^(−λ_k t) sin kπx with its derivatives: the solution of the heat equation for λ_k = D (kπ)².

    Parameters
    ----------
    coefficients
        c_k, shape ``(batch, modes)``.
    rates
        λ_k, shape ``(modes,)``.
    points
        (x, t), shape ``(n, 2)``.
    order
        2 for second derivatives too.

    Returns
    -------
    Jet
        Of one channel in two coordinates; exactly zero at x = 0 and 1.
    """
    waves = _waves(coefficients.shape[-1], points)
    rates = rates.to(points)
    decay = torch.exp(-rates * points[:, 1:])
    sine, cosine = decay * sines(len(waves), points[:, 0]), decay * torch.cos(waves * points[:, :1])

    def along(basis: Tensor, factor: Tensor | float = 1.0) -> Tensor:
        return (coefficients.to(points) * factor) @ basis.T

    gradient = torch.stack([along(cosine, waves), along(sine, -rates)], -1)
    hessian = None
    if order == 2:
        xx, xt, tt = along(sine, -(waves**2)), along(cosine, -rates * waves), along(sine, rates**2)
        hessian = torch.stack([torch.stack([xx, xt], -1), torch.stack([xt, tt], -1)], -2)[:, :, None]
    return Jet(along(sine)[..., None], gradient[:, :, None], hessian)


def integral_jet(coefficients: Tensor, points: Tensor, order: int = 1) -> Jet:
    """∫₀^y Σ c_k sin kπs ds with its derivatives, at points (x, y): a stream function of parallel flow.

    Parameters are those of `decaying_jet`; its derivative in y is exactly zero at y = 0 and 1, and so it is itself at
    y = 0.
    """
    c, y = coefficients.to(points), points[:, 1:]
    waves = _waves(c.shape[-1], points)
    half = sines(len(waves), y[:, 0] / 2)  # 1 − cos kπy = 2 sin² kπy/2
    value, speed = (2 * c / waves) @ half.square().T, c @ sines(len(waves), y[:, 0]).T
    nothing = torch.zeros_like(speed)
    hessian = None
    if order == 2:
        shear = (c * waves) @ torch.cos(waves * y).T
        rows = [torch.stack([nothing, nothing], -1), torch.stack([nothing, shear], -1)]
        hessian = torch.stack(rows, -2)[:, :, None]
    return Jet(value[..., None], torch.stack([nothing, speed], -1)[:, :, None], hessian)


def sines(modes: int, x: Tensor) -> Tensor:
    """sin kπx, k = 1 … ``modes``, at ``x (n,)`` of [0, 1]: ``(n, modes)``, exactly zero at either end."""
    number = torch.arange(1, modes + 1, device=x.device)
    # sin kπx = −(−1)^k sin kπ(1 − x)
    sign = torch.where((x[:, None] > 0.5) & (number % 2 == 0), -1.0, 1.0).to(x)
    return sign * torch.sin(math.pi * number.to(x) * torch.minimum(x, 1 - x)[:, None])


def _waves(modes: int, like: Tensor) -> Tensor:
    """kπ, k = 1 … ``modes``."""
    return math.pi * torch.arange(1, modes + 1, device=like.device).to(like)
