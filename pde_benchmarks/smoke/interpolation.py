"""Multilinear interpolation in arrays on a regular grid, and the bounds of what it can return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Spot", "bounds", "interpolate", "spot"]


class Spot(NamedTuple):
    """Where to interpolate: flat number ``(batch, points)`` of the lowest corner, and the weights of each axis."""

    corner: Tensor
    weights: tuple[Tensor, ...]


def spot(coordinates: Sequence[Tensor], shape: Sequence[int]) -> Spot:
    """Prepare interpolation at `coordinates` in arrays of `shape`.

    Parameters
    ----------
    coordinates
        One tensor ``(batch, points)`` an axis, in units of the array's index; clamped to the array.
    shape
        Lengths of the axes, at least 2.
    """
    corner, weights = torch.zeros_like(coordinates[0], dtype=torch.int64), []
    for x, n in zip(coordinates, shape, strict=True):
        x = x.clamp(0, n - 1)
        low = x.floor().clamp(max=n - 2)
        weights.append(x - low)
        corner = corner * n + low.to(torch.int64)
    return Spot(corner, tuple(weights))


def interpolate(field: Tensor, where: Spot) -> Tensor:
    """The multilinear interpolant of ``field (batch, *shape)``, ``(batch, points)``; between its smallest and largest.

    Examples
    --------
    >>> import torch
    >>> field = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    >>> interpolate(field, spot([torch.tensor([[0.5]]), torch.tensor([[0.25]])], (2, 2)))
    tensor([[1.2500]])
    """
    return _along(field.reshape(field.shape[0], -1), where.corner, where.weights, field.shape[1:])


def bounds(field: Tensor, where: Spot) -> tuple[Tensor, Tensor]:
    """The smallest and the largest of the 2ᵈ values that `interpolate` weighs, each ``(batch, points)``."""
    low = high = field
    for axis in range(1, field.ndim):
        n = field.shape[axis] - 1
        low = _kept(torch.minimum(low.narrow(axis, 0, n), low.narrow(axis, 1, n)), axis)
        high = _kept(torch.maximum(high.narrow(axis, 0, n), high.narrow(axis, 1, n)), axis)
    batch = field.shape[0]
    return low.reshape(batch, -1).gather(1, where.corner), high.reshape(batch, -1).gather(1, where.corner)


def _kept(values: Tensor, axis: int) -> Tensor:
    """One more layer at the end of an axis, so that flat numbers stay those of the whole array."""
    return torch.cat([values, values.narrow(axis, values.shape[axis] - 1, 1)], axis)


def _along(flat: Tensor, corner: Tensor, weights: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    if not weights:
        return flat.gather(1, corner)
    step = 1
    for n in shape[1:]:
        step *= n
    here = _along(flat, corner, weights[1:], shape[1:])
    there = _along(flat, corner + step, weights[1:], shape[1:])
    return here.lerp_(there, weights[0])
