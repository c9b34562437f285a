"""Right-hand sides of a pressure equation: rough and smooth ones, zero outside the fluid."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

__all__ = ["noise", "smooth"]

WAVES, LARGEST = 6, 3


def noise(fluid: Tensor, generator: Generator) -> Tensor:
    """Independent normal numbers in the fluid cells, of root mean square 1 there; float64, the shape of `fluid`.

    Parameters
    ----------
    fluid
        bool ``(count, *grid)``.

    Examples
    --------
    >>> b = noise(torch.tensor([[True, True, False]]), torch.Generator().manual_seed(0))
    >>> b.square().sum().round(decimals=6), b[0, 2]
    (tensor(2., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    return _scaled(torch.randn(fluid.shape, generator=generator, dtype=torch.float64), fluid)


def smooth(fluid: Tensor, generator: Generator) -> Tensor:
    """Σ a_k Π_j cos(π n_kj x_j + φ_kj), six waves with n_kj ≤ 3, in the fluid cells; scaled and shaped as `noise`."""
    count, d = fluid.shape[0], fluid.ndim - 1
    total = torch.zeros(fluid.shape, dtype=torch.float64)
    for _ in range(WAVES):
        wave = torch.randn((count, *[1] * d), generator=generator, dtype=torch.float64)
        number = torch.randint(LARGEST + 1, (count, d), generator=generator)
        phase = 2 * math.pi * torch.rand((count, d), generator=generator, dtype=torch.float64)
        for k, n in enumerate(fluid.shape[1:]):
            x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
            along = torch.cos(math.pi * number[:, k, None] * x + phase[:, k, None])
            wave = wave * along.reshape(count, *[1] * k, n, *[1] * (d - 1 - k))
        total += wave
    return _scaled(total, fluid)


def _scaled(field: Tensor, fluid: Tensor) -> Tensor:
    field = torch.where(fluid, field, 0)
    axes = tuple(range(1, field.ndim))
    size = (field.square().sum(axes, keepdim=True) / fluid.sum(axes, keepdim=True)).sqrt()
    return field / torch.where(size > 0, size, 1)
