"""Values where there are none: the mean of the neighbours, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["extrapolated"]


def extrapolated(values: Tensor, known: Tensor, layers: int = 2) -> Tensor:
    """`values` with those that are not `known` replaced by the mean of their known neighbours, `layers` times.

    Parameters
    ----------
    values
        ``(batch, *shape)``.
    known
        bool, ``(batch or 1, *shape)``.
    layers
        How many cells deep; values farther from the known ones become zero.

    Examples
    --------
    >>> import torch
    >>> extrapolated(torch.tensor([[1.0, 3.0, 9.0, 9.0]]), torch.tensor([[True, True, False, False]]), layers=1)
    tensor([[1., 3., 3., 0.]])
    """
    if bool(known.all()):
        return values
    values = torch.where(known, values, 0)
    for _ in range(layers):
        total, count = _around(values), _around(known.to(values.dtype))
        values = torch.where(~known & (count > 0), total / count.clamp(min=1), values)
        known = known | (count > 0)
    return values


def _around(field: Tensor) -> Tensor:
    """Sum over the 2d neighbours."""
    total = torch.zeros_like(field)
    for axis in range(1, field.ndim):
        n = field.shape[axis] - 1
        total.narrow(axis, 0, n).add_(field.narrow(axis, 1, n))
        total.narrow(axis, 1, n).add_(field.narrow(axis, 0, n))
    return total
