"""Random signals in one dimension: boxes and bumps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.laws.drawing import centres, require_axes, uniform

__all__ = ["draw_signals"]

MOST = 4


def draw_signals(count: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Sums of 1 to 4 boxes (probability 0.6) and Gaussian bumps on [0, 1], cut to [0, 1].

    Centres U(0.1, 0.9), half-widths w ~ U(0.03, 0.15), amplitudes U(0.2, 0.8); the sides of a box are linear over one
    point, and a bump has the standard deviation 0.6 w. One seed gives the same signals on every grid.

    Parameters
    ----------
    count
        Number of signals.
    shape
        Their one axis, as ``(64,)``.
    generator
        Of the random numbers.

    Returns
    -------
    Tensor
        float64, shape ``(count, 1, *shape)``, values in [0, 1].

    Raises
    ------
    ProblemError
        If there is not one axis.

    Examples
    --------
    >>> draw_signals(3, (64,), torch.Generator().manual_seed(0)).shape
    torch.Size([3, 1, 64])
    """
    require_axes("signals", shape, 1)
    number = torch.randint(1, MOST + 1, (count,), generator=generator)
    centre = uniform(0.1, 0.9, (count, MOST, 1), generator)
    half_width = uniform(0.03, 0.15, (count, MOST, 1), generator)
    amplitude = uniform(0.2, 0.8, (count, MOST), generator) * (torch.arange(MOST) < number[:, None])
    is_box = uniform(0.0, 1.0, (count, MOST, 1), generator) < 0.6
    (x,) = centres(shape)
    distance = (x - centre).abs()
    box = ((half_width - distance) * shape[0] + 0.5).clamp(0, 1)
    bump = torch.exp(-((distance / (0.6 * half_width)) ** 2) / 2)
    return (amplitude[..., None] * torch.where(is_box, box, bump)).sum(1).clamp(0, 1)[:, None]
