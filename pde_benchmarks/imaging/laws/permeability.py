"""Random permeability of two materials: a smooth Gaussian field cut at zero."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pde_benchmarks.grid import Grid
from pde_benchmarks.imaging.laws.drawing import require_axes
from pde_benchmarks.random_fields import GaussianField

__all__ = ["draw_permeability"]

LOW, HIGH = 0.25, 1.0


def draw_permeability(count: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """1 where a Gaussian field of covariance (−Δ + 9)⁻² is positive, else 0.25 (as for Darcy flow in Li et al. 2021).

    One seed gives the same field on every grid.

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
        float64, shape ``(count, 1, *shape)``, values 0.25 and 1.

    Raises
    ------
    ProblemError
        If there are not two axes.

    Examples
    --------
    >>> draw_permeability(4, (32, 32), torch.Generator().manual_seed(0)).unique().tolist()
    [0.25, 1.0]
    """
    require_axes("permeability", shape, 2)
    field = GaussianField(smoothness=2.0, inverse_length=3.0).sample(count, Grid(tuple(shape), "cell"), generator)
    return torch.where(field >= 0, HIGH, LOW).to(torch.float64)[:, None]
