"""The kernels in plain torch, on any device: the specification that every other backend must equal.

Fields are ``(batch, *grid)``; the batch of a `Links` is repeated to the batch of the field.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from solvers.kernels.structures import AxisTransfer, Levels, Links, Smoothing

__all__ = ["apply", "correct", "full_multigrid", "jacobi", "prolong", "red_black", "residual", "restrict"]


def apply(links: Links, u: Tensor) -> Tensor:
    """A u."""
    return _part(links, u, -2) * u - _neighbours(links, u)


def residual(links: Links, b: Tensor, u: Tensor) -> Tensor:
    """b − A u."""
    return b - apply(links, u)


def jacobi(links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
    """One damped Jacobi sweep: u + ω D⁻¹ (b − A u)."""
    return u + omega * _part(links, u, -1) * residual(links, b, u)


def red_black(links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
    """One Gauss-Seidel sweep, first the points with even index sum, then the odd ones (`reverse`: odd first)."""
    axes = [torch.arange(n, device=u.device) for n in links.grid]
    colour = torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0) % 2
    for current in (1, 0) if reverse else (0, 1):
        u = torch.where(colour == current, (b + _neighbours(links, u)) * _part(links, u, -1), u)
    return u


def prolong(transfers: Sequence[AxisTransfer], coarse: Tensor) -> Tensor:
    """Interpolate along every axis."""
    d = len(transfers)
    for k, transfer in enumerate(transfers):
        matrix = transfer.matrix.to(coarse)
        coarse = torch.tensordot(coarse, matrix, dims=([coarse.ndim - d + k], [1])).movedim(-1, coarse.ndim - d + k)
    return coarse


def restrict(transfers: Sequence[AxisTransfer], fine: Tensor) -> Tensor:
    """The transpose of `prolong`."""
    d = len(transfers)
    for k, transfer in enumerate(transfers):
        matrix = transfer.matrix.to(fine)
        fine = torch.tensordot(fine, matrix, dims=([fine.ndim - d + k], [0])).movedim(-1, fine.ndim - d + k)
    return fine


def correct(levels: Levels, r: Tensor, start: int = 0) -> Tensor:
    """One V-cycle from zero for A z = r on level `start`: the multigrid preconditioner."""
    if start == len(levels.levels) - 1:
        return _solve_coarsest(levels, r)
    level = levels.levels[start]
    z = smooth(level.links, levels.smoothing, r, torch.zeros_like(r), before=True)
    coarse = restrict(level.linear, residual(level.links, r, z))
    z = z + prolong(level.linear, correct(levels, coarse, start + 1))
    return smooth(level.links, levels.smoothing, r, z, before=False)


def full_multigrid(levels: Levels, b: Tensor, cycles: int) -> Tensor:
    """Nested iteration: the coarsest solution, interpolated cubically, `cycles` V-cycles on every level."""
    rhs = [b]
    for level in levels.levels[:-1]:
        rhs.append(restrict(level.source, rhs[-1]))
    u = _solve_coarsest(levels, rhs[-1])
    for index in reversed(range(len(rhs) - 1)):
        u = prolong(levels.levels[index].cubic, u)
        for _ in range(cycles):
            u = u + correct(levels, residual(levels.levels[index].links, rhs[index], u), index)
    return u


def smooth(links: Links, smoothing: Smoothing, b: Tensor, u: Tensor, before: bool) -> Tensor:
    """The sweeps before, or (adjoint: in reversed colour order) after the coarse correction."""
    for _ in range(smoothing.pre if before else smoothing.post):
        if smoothing.omega is None:
            u = red_black(links, b, u, reverse=not before)
        else:
            u = jacobi(links, b, u, smoothing.omega)
    return u


def _solve_coarsest(levels: Levels, r: Tensor) -> Tensor:
    inverse = _repeat(levels.coarse_inverse, r.shape[0])
    return (inverse @ r.reshape(r.shape[0], -1, 1)).reshape(r.shape)


def _neighbours(links: Links, u: Tensor) -> Tensor:
    total = torch.zeros_like(u)
    for k in range(len(links.grid)):
        axis, c = k - len(links.grid), _part(links, u, k)
        total = total + c * u.roll(-1, axis) + (c * u).roll(1, axis)
    return total


def _part(links: Links, u: Tensor, index: int) -> Tensor:
    return _repeat(links.data.select(1, index), u.shape[0])


def _repeat(tensor: Tensor, batch: int) -> Tensor:
    own = tensor.shape[0]
    return tensor if own in (1, batch) else tensor.repeat(batch // own, *(1,) * (tensor.ndim - 1))
