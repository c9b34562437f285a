"""Multilinear interpolation in arrays on a regular grid, and the bounds of what it can return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from solvers.kernels.threads import over_batch

__all__ = ["bounds", "bounds_reference", "interpolate", "interpolate_reference"]

#: Points below which a thread of its own costs more than it saves.
_THREAD = 2**14


def interpolate(field: Tensor, points: Sequence[Tensor]) -> Tensor:
    """The multilinear interpolant of a field; never beyond its smallest and largest value.

    Parameters
    ----------
    field
        ``(batch, *shape)``, float32 or float64, two or three axes of at least 2.
    points
        One tensor ``(batch, points)`` an axis, in units of the index; clamped to the array.

    Returns
    -------
    Tensor
        ``(batch, points)``. Compiled on the CPU, `interpolate_reference` elsewhere.

    Examples
    --------
    >>> import torch
    >>> field = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    >>> interpolate(field, [torch.tensor([[0.5]]), torch.tensor([[0.25]])])
    tensor([[1.2500]])
    """
    if field.device.type != "cpu":
        return interpolate_reference(field, points)
    from pde_benchmarks.smoke import interpolation_loops

    loop = interpolation_loops.interpolate_2d if field.ndim == 3 else interpolation_loops.interpolate_3d
    out = field.new_empty(points[0].shape)
    _over_points(loop, field, points, out)
    return out


def bounds(field: Tensor, points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The smallest and the largest of the 2ᵈ values that `interpolate` weighs, each ``(batch, points)``."""
    if field.device.type != "cpu":
        return bounds_reference(field, points)
    from pde_benchmarks.smoke import interpolation_loops

    loop = interpolation_loops.bounds_2d if field.ndim == 3 else interpolation_loops.bounds_3d
    low, high = (field.new_empty(points[0].shape) for _ in range(2))
    _over_points(loop, field, points, low, high)
    return low, high


def interpolate_reference(field: Tensor, points: Sequence[Tensor]) -> Tensor:
    """`interpolate` in plain torch: what it means."""
    corner, weights = _spot(points, field.shape[1:])
    return _along(field.reshape(field.shape[0], -1), corner, weights, field.shape[1:])


def bounds_reference(field: Tensor, points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`bounds` in plain torch."""
    corner, _ = _spot(points, field.shape[1:])
    low = high = field
    for axis in range(1, field.ndim):
        n = field.shape[axis] - 1
        low = _kept(torch.minimum(low.narrow(axis, 0, n), low.narrow(axis, 1, n)), axis)
        high = _kept(torch.maximum(high.narrow(axis, 0, n), high.narrow(axis, 1, n)), axis)
    return low.flatten(1).gather(1, corner), high.flatten(1).gather(1, corner)


def _over_points(loop: Any, field: Tensor, points: Sequence[Tensor], *out: Tensor) -> None:
    arrays = [tensor.detach().contiguous().numpy() for tensor in (field, *points, *out)]
    over_batch(loop, points[0].numel(), *arrays, least=_THREAD)


def _spot(points: Sequence[Tensor], shape: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Flat number ``(batch, points)`` of the lowest corner, and the weights of each axis."""
    corner, weights = torch.zeros_like(points[0], dtype=torch.int64), []
    for x, n in zip(points, shape, strict=True):
        x = x.clamp(0, n - 1)
        low = x.floor().clamp(max=n - 2)
        weights.append(x - low)
        corner = corner * n + low.to(torch.int64)
    return corner, weights


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
    return here.lerp(there, weights[0])
