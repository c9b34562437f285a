"""Grid fields read at arbitrary points: from the pixel around the nearest grid point, or multilinear between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Self

import torch
from torch import Tensor

from pde_benchmarks.grid import Grid

__all__ = ["PointValues"]


@dataclass(frozen=True)
class PointValues:
    """The linear map from a field on a grid of the unit cube to its values at n points, k grid points for each.

    Parameters
    ----------
    index
        Flat indices of grid points, ``(n, k)``.
    weights
        Their weights, ``(n, k)``.

    Examples
    --------
    >>> grid = Grid((3, 3), "vertex")
    >>> field = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> points = torch.tensor([[0.5, 0.6], [1.0, 0.0]])
    >>> PointValues.linear(grid, points).of(field).flatten(), PointValues.pixels(grid, points).of(field).flatten()
    (tensor([4.2000, 6.0000]), tensor([4., 6.]))
    """

    index: Tensor
    weights: Tensor

    @classmethod
    def linear(cls, grid: Grid, points: Tensor) -> Self:
        """Multilinear interpolation, and extrapolation beyond the outermost cell centres; periodic axes go round.

        Exact for functions that are linear along each axis.
        """
        below, weight = [], []
        for axis in range(grid.dim):
            position = _position(grid, axis, points)
            periodic = "periodic" in grid.sides[axis]
            last = grid.shape[axis] - (1 if periodic else 2)
            lower = position.floor().clamp(0, max(last, 0)) if not periodic else position.floor()
            below.append(lower.long())
            weight.append(position - lower)
        index, weights = [], []
        for corner in product((0, 1), repeat=grid.dim):
            index.append(_flat(grid, [below[k] + step for k, step in enumerate(corner)]))
            parts = [weight[k] if step else 1 - weight[k] for k, step in enumerate(corner)]
            weights.append(torch.stack(parts).prod(0))
        return cls(torch.stack(index, 1), torch.stack(weights, 1))

    @classmethod
    def pixels(cls, grid: Grid, points: Tensor) -> Self:
        """The value of the nearest grid point: pixels are centred on the grid points, their edges half-way between."""
        nearest = [(_position(grid, axis, points) + 0.5).floor().long() for axis in range(grid.dim)]
        index = _flat(grid, nearest)
        return cls(index[:, None], torch.ones_like(points[:, :1]))

    def of(self, field: Tensor) -> Tensor:
        """Values ``(batch, n, channel)`` of ``field (batch, channel, *grid)``, differentiable in it, in its dtype."""
        gathered = field.flatten(2)[..., self.index.to(field.device)]
        return (gathered * self.weights.to(field)).sum(-1).transpose(1, 2)


def _position(grid: Grid, axis: int, points: Tensor) -> Tensor:
    """Where on an axis points lie, in units of the mesh width from the first grid point."""
    count = grid.shape[axis]
    x = points[:, axis]
    match grid.alignment:
        case "vertex":
            return x * (count - 1)
        case "interior":
            return x * (count + 1) - 1
        case "left":
            return x * count
        case _:
            return x * count - 0.5


def _flat(grid: Grid, positions: list[Tensor]) -> Tensor:
    """Flat indices; wrapped on periodic axes, held at the ends of others."""
    index = torch.zeros_like(positions[0])
    for axis, position in enumerate(positions):
        count = grid.shape[axis]
        wrapped = position % count if "periodic" in grid.sides[axis] else position.clamp(0, count - 1)
        index = index + wrapped * prod(grid.shape[axis + 1 :])
    return index
