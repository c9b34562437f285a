"""Exponential Runge-Kutta steps: the stiff linear part of an evolution exactly, the rest with order four."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["ExponentialSteps"]

CONTOUR = 32


@dataclass(frozen=True, eq=False)
class ExponentialSteps:
    """c' = −λ c + N(c), every component with its own λ: ETDRK4 of Cox & Matthews (2002), constant steps.

    The coefficients of the scheme, which cancel for small λ h, are means over a circle around −λ h (Kassam & Trefethen
    2005): to about rounding for all λ h ≥ −1, so for waves that grow too while a step resolves their growth.

    Parameters
    ----------
    rates
        λ, real, float64, of a shape that broadcasts with the components: ``(modes,)``, ``(channel, *modes)``.
    step
        h.

    Examples
    --------
    >>> decay = ExponentialSteps(torch.tensor([2.0], dtype=torch.float64), 0.5)
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> bool((decay.advance(one, 2, torch.zeros_like) - math.exp(-2.0)).abs() < 1e-15)
    True
    """

    rates: Tensor
    step: float

    def advance(self, c: Tensor, steps: int, nonlinear: Callable[[Tensor], Tensor]) -> Tensor:
        """``c (…, *modes)``, real or complex, after ``steps`` steps; differentiable."""
        whole, half, Q, f1, f2, f3 = (part.to(c.device, c.dtype.to_real()) for part in self._weights)
        for _ in range(steps):
            Nc = nonlinear(c)
            a = half * c + Q * Nc
            Na = nonlinear(a)
            b = half * c + Q * Na
            Nb = nonlinear(b)
            d = half * a + Q * (2 * Nb - Nc)
            c = whole * c + f1 * Nc + 2 * f2 * (Na + Nb) + f3 * nonlinear(d)
        return c

    @cached_property
    def _weights(self) -> tuple[Tensor, ...]:
        h, z = self.step, -self.rates.cpu() * self.step
        angle = math.pi * (torch.arange(CONTOUR, dtype=torch.float64) + 0.5) / CONTOUR
        r = z[..., None] + torch.polar(torch.ones_like(angle), angle)
        e = torch.exp(r)
        parts = (
            (torch.exp(r / 2) - 1) / r,
            (-4 - r + e * (4 - 3 * r + r**2)) / r**3,
            (2 + r + e * (r - 2)) / r**3,
            (-4 - 3 * r - r**2 + e * (4 - r)) / r**3,
        )
        return torch.exp(z), torch.exp(z / 2), *(h * part.mean(-1).real for part in parts)
