"""Columns to zero mean and unit variance, where a constant column has no scale."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["column_moments", "standardised"]

CONSTANT = 1e-13
"""A column whose deviation is less than this part of its largest value is constant: the rest is rounding."""


def column_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of the columns ``(n, d)``; deviation 0 for a constant column.

    Examples
    --------
    >>> column_moments(torch.tensor([[1.0, 0.1], [3.0, 0.1]]))
    (tensor([2.0000, 0.1000]), tensor([1., 0.]))
    """
    mean = values.mean(0)
    deviation = (values - mean).square().mean(0).sqrt()
    constant = deviation <= CONSTANT * values.abs().amax(0)
    return torch.where(constant, values[0], mean), deviation.masked_fill(constant, 0)


def standardised(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """(values − mean)/deviation by column, and 0 in constant columns: nothing depends on what was never varied."""
    return torch.where(deviation > 0, (values - mean) / torch.where(deviation > 0, deviation, 1), 0)
