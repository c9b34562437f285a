"""Diffusion between the nodes of a grid that has nodes on its boundary, where the solution is zero."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers import DiffusionOperator

__all__ = ["node_diffusion"]


def node_diffusion(coefficient: Tensor, average: str) -> DiffusionOperator:
    """−∇·(a ∇ ·) by five-point finite volumes on the unit square; at a boundary node the multiple 4 a/h² of u.

    Unknowns are all nodes, so that coefficient and solution have one grid. A link between an inner node and one on the
    boundary acts on the inner one alone (u is zero on the boundary), hence is part of the reaction: the matrix stays
    symmetric, and solutions vanish on the boundary exactly.

    Parameters
    ----------
    coefficient
        a > 0 at the nodes, ``(*batch, n, n)``.
    average
        ``arithmetic`` or ``harmonic`` mean on the face between two nodes.

    Examples
    --------
    >>> A = node_diffusion(torch.ones(3, 3), "arithmetic")
    >>> A.diagonal()[4], A.mv(torch.ones(9))[4]
    (tensor(16.), tensor(16.))
    """
    inner = torch.zeros(coefficient.shape[-2:], dtype=torch.bool, device=coefficient.device)
    inner[1:-1, 1:-1] = True
    faces, reaction = [], torch.zeros_like(coefficient)
    boundary = torch.zeros_like(coefficient)
    for axis in (-2, -1):
        links = coefficient.shape[axis] - 1
        low, high = (coefficient.narrow(axis, start, links) for start in (0, 1))
        mean = (low + high) / 2 if average == "arithmetic" else 2 * low * high / (low + high)
        t = mean * links**2
        is_inner = [inner.narrow(axis, start, links) for start in (0, 1)]
        outside = torch.zeros_like(coefficient.narrow(axis, 0, 1))
        faces.append(torch.cat([outside, torch.where(is_inner[0] & is_inner[1], t, 0), outside], axis))
        held = torch.where(is_inner[0] ^ is_inner[1], t, 0)
        reaction = reaction + torch.cat([held, outside], axis) + torch.cat([outside, held], axis)
        boundary = boundary + 2 * coefficient * links**2
    return DiffusionOperator(faces, torch.where(inner, reaction, boundary))
