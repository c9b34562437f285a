"""Random sources: a few smooth bumps, as the place where heat or a pollutant is released."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.laws.drawing import centres, require_axes, uniform

__all__ = ["draw_sources"]

MOST = 6


def draw_sources(count: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Sums of 1 to 6 Gaussian bumps: centres U(0.15, 0.85)², widths U(0.03, 0.1), amplitudes U(0.3, 1), cut to [0, 1].

    One seed gives the same bumps on every grid.

    Parameters
    ----------
    count
        Number of fields.
    shape
        Their two axes.
    generator
        Of the random numbers.

    Returns
    -------
    Tensor
        float64, shape ``(count, 1, *shape)``, values in [0, 1].

    Raises
    ------
    ProblemError
        If there are not two axes.

    Examples
    --------
    >>> fields = draw_sources(2, (16, 16), torch.Generator().manual_seed(0))
    >>> fields.shape, bool((fields >= 0).all())
    (torch.Size([2, 1, 16, 16]), True)
    """
    require_axes("sources", shape, 2)
    number = torch.randint(1, MOST + 1, (count,), generator=generator)
    centre = uniform(0.15, 0.85, (count, MOST, 2), generator)
    width = uniform(0.03, 0.1, (count, MOST), generator)
    amplitude = uniform(0.3, 1.0, (count, MOST), generator) * (torch.arange(MOST) < number[:, None])
    x, y = centres(shape)
    field = torch.zeros(count, *shape, dtype=torch.float64)
    for k in range(MOST):  # a bump of every field at a time
        cx, cy, w, a = (v[:, k, None, None] for v in (centre[..., 0], centre[..., 1], width, amplitude))
        field += a * torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * w**2))
    return field.clamp(0, 1)[:, None]
