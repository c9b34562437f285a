"""The next coarser diffusion operator, from the transmissibilities alone.

Everything is in integrated form, with restriction the plain transpose of interpolation: a coarse link carries the flux
of the fine links it replaces, in parallel across the axis and in series along it. No mesh width appears, so that an
operator divided by h² is coarsened as well as one in stencil units.
"""

import torch
from torch import Tensor

from solvers.operators.diffusion import DiffusionOperator

__all__ = ["can_coarsen", "coarsen"]


def can_coarsen(A: DiffusionOperator) -> bool:
    """Whether every axis halves: an even number of cells, or an odd number (at least 3) of vertices."""
    if A.alignment == "vertex":
        return all(n % 2 == 1 and n >= 3 for n in A.grid)
    return all(n % 2 == 0 for n in A.grid)


def coarsen(A: DiffusionOperator) -> DiffusionOperator:
    """The operator on half as many points per axis (parameters detached)."""
    d = len(A.grid)
    along, merge = (_along_cells, _pairs) if A.alignment == "cell" else (_along_vertices, _full_weighting)
    faces = []
    for k, t in enumerate(A.faces):
        t = along(t.detach(), k - d, A.periodic[k])
        for j in range(d):
            if j != k:
                t = merge(t, j - d)
        faces.append(t)
    reaction = None
    if A.reaction is not None:
        reaction = A.reaction.detach()
        for j in range(d):
            reaction = merge(reaction, j - d)
    return DiffusionOperator(faces, reaction, A.periodic, A.alignment)


def _along_cells(t: Tensor, axis: int, periodic: bool) -> Tensor:
    """Half the link inside one coarse cell, the link across, half the link inside the next: resistors in series."""
    inside = _every_second(t, axis, 1)
    across = _every_second(t, axis, 0)
    half = 0.5 * _resistance(inside)
    if periodic:
        return _conductance(across, half + half.roll(1, axis))
    nothing = torch.zeros_like(half.narrow(axis, 0, 1))
    return _conductance(across, torch.cat([nothing, half], axis) + torch.cat([half, nothing], axis))


def _along_vertices(t: Tensor, axis: int, periodic: bool) -> Tensor:
    """Two links in series."""
    first, second = _every_second(t, axis, 0), _every_second(t, axis, 1)
    return torch.where(second > 0, _conductance(first, _resistance(second)), 0)


def _conductance(link: Tensor, resistance: Tensor) -> Tensor:
    """`link` in series with `resistance`; a missing link stays missing."""
    return link / (1 + link * resistance)


def _resistance(link: Tensor) -> Tensor:
    """1 / link. A missing link inside a coarse cell (an obstacle) leaves a smaller cell: no resistance."""
    return torch.where(link > 0, 1 / link, 0)


def _pairs(t: Tensor, axis: int) -> Tensor:
    return _every_second(t, axis, 0) + _every_second(t, axis, 1)


def _full_weighting(t: Tensor, axis: int) -> Tensor:
    """[1/2, 1, 1/2] around every second point."""
    m = t.shape[axis] // 2
    even = _every_second(t, axis, 0)
    return _every_second(t, axis, 1) + 0.5 * (even.narrow(axis, 0, m) + even.narrow(axis, 1, m))


def _every_second(t: Tensor, axis: int, start: int) -> Tensor:
    window = [slice(None)] * t.ndim
    window[axis] = slice(start, None, 2)
    return t[tuple(window)]
