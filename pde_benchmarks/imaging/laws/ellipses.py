"""Random ellipses: piecewise constant images with edges of one pixel."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.laws.drawing import centres, require_axes, uniform

__all__ = ["draw_ellipses"]

FEWEST, MOST = 3, 8


def draw_ellipses(count: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Images of 3 to 8 overlapping ellipses on a black ground, added and cut to [0, 1].

    Centres U(0.15, 0.85)², semi-axes U(0.05, 0.3), angles U(0, π), values U(0.15, 0.8), negative with probability 0.3.
    The edges are linear over one pixel. One seed gives the same ellipses on every grid.

    Parameters
    ----------
    count
        Number of images.
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
    >>> draw_ellipses(2, (32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 32, 32])
    """
    require_axes("ellipses", shape, 2)
    number = torch.randint(FEWEST, MOST + 1, (count,), generator=generator)
    centre = uniform(0.15, 0.85, (count, MOST, 2), generator)
    axes = uniform(0.05, 0.3, (count, MOST, 2), generator)
    angle = uniform(0.0, math.pi, (count, MOST), generator)
    value = uniform(0.15, 0.8, (count, MOST), generator)
    negative = uniform(0.0, 1.0, (count, MOST), generator) < 0.3
    value = torch.where(negative, -value, value) * (torch.arange(MOST) < number[:, None])
    x, y = centres(shape)
    image = torch.zeros(count, *shape, dtype=torch.float64)
    for k in range(MOST):  # an ellipse of every image at a time
        right, up = x - _column(centre[:, k, 0]), y - _column(centre[:, k, 1])
        cos, sin = _column(angle[:, k].cos()), _column(angle[:, k].sin())
        along, across = right * cos + up * sin, up * cos - right * sin
        radius = torch.hypot(along / _column(axes[:, k, 0]), across / _column(axes[:, k, 1]))
        pixels_inside = (1 - radius) * _column(axes[:, k].amin(-1)) * min(shape)
        image += _column(value[:, k]) * (pixels_inside + 0.5).clamp(0, 1)
    return image.clamp(0, 1)[:, None]


def _column(numbers: Tensor) -> Tensor:
    """One number an image, to go with its pixels."""
    return numbers[:, None, None]
