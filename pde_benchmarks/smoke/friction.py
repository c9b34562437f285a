"""Viscous forces on the faces: the Laplacian of every velocity component with its walls."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.smoke.walls import Walls
from solvers import DiffusionOperator

__all__ = ["FaceLaplacian", "face_laplacians"]


class FaceLaplacian(NamedTuple):
    """h² Δu = source − A u for one component on its free faces; rows of all other faces are zero.

    Parameters
    ----------
    operator
        A: symmetric, with the walls' resistance in its reaction.
    source
        What moving walls contribute, ``(batch or 1, *face_shape)``.
    """

    operator: DiffusionOperator
    source: Tensor

    def __call__(self, u: Tensor) -> Tensor:
        """h² Δu, of u's shape."""
        return self.source - self.operator.mv(u.flatten(1)).reshape(u.shape)


def face_laplacians(walls: Walls) -> list[FaceLaplacian]:
    """One for every component.

    A face that a solid closes is a neighbour of known velocity at the distance h. Across a wall along the flow there is
    no flux (free-slip), or the mirrored velocity 2 u_wall − u (no-slip). Nothing flows through open sides.
    """
    return [_laplacian(walls, a) for a in range(walls.grid.dimension)]


def _laplacian(walls: Walls, a: int) -> FaceLaplacian:
    own = walls.velocity[a]
    free = walls.free[a].to(own.dtype)
    free = free.expand(torch.broadcast_shapes(free.shape, own.shape))
    seen = (walls.closed[a] & ~walls.buried[a]).to(own.dtype).expand(free.shape)
    buried = walls.buried[a].to(own.dtype).expand(free.shape)
    resistance = seen if walls.friction == "free-slip" else seen + 2 * buried
    mass, source, links = torch.zeros_like(free), torch.zeros_like(free), []
    for k, n in enumerate(walls.grid.face_shape(a)):
        axis = k + 1
        here, there = (slice(0, n - 1), slice(1, n))
        for mine, other in ((here, there), (there, here)):
            weight = _layers(free, axis, mine) * _layers(resistance, axis, other)
            _layers(mass, axis, mine).add_(weight)
            _layers(source, axis, mine).add_(weight * _layers(own, axis, other))
        if k != a and walls.friction == "no-slip":
            for side, layer in ((0, slice(0, 1)), (1, slice(n - 1, n))):
                if walls.pairs[k][side] == "solid":
                    weight = 2 * _layers(free, axis, layer)
                    _layers(mass, axis, layer).add_(weight)
                    _layers(source, axis, layer).add_(weight * walls.sliding(k, side, a))
        end = torch.zeros_like(_layers(free, axis, slice(0, 1)))
        links.append(torch.cat([end, _layers(free, axis, here) * _layers(free, axis, there), end], axis))
    return FaceLaplacian(DiffusionOperator(links, mass), source)


def _layers(values: Tensor, axis: int, which: slice) -> Tensor:
    return values.narrow(axis, which.start, which.stop - which.start)
