"""The flow in a channel as if it were straight: parabolas that follow the grid lines."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["inflow_velocity", "parallel_flow"]


def inflow_velocity(coordinates: Tensor) -> Tensor:
    """4 τ (1 − τ) times the inward normal of a straight inlet, τ its length's fraction; grids to ``(count, 2, n)``."""
    across = coordinates[..., 0, -1:] - coordinates[..., 0, :1]
    normal = torch.stack((across[:, 1], -across[:, 0]), 1) / across.norm(dim=1, keepdim=True)
    return _profile(coordinates)[:, None, 0] * normal


def parallel_flow(coordinates: Tensor) -> Tensor:
    """Velocities ``(count, 2, n, n)`` along the grid lines: in each cross-section the parabola that carries the inflow.

    Exact in a straight channel; elsewhere wrong by the curvature and by inertia.
    """
    width = coordinates.diff(dim=-1).norm(dim=1).sum(-1)
    speed = _profile(coordinates) * (width[:, :1] / width)[..., None]
    (tangent,) = torch.gradient(coordinates, dim=2)
    return speed[:, None] * tangent / tangent.norm(dim=1, keepdim=True)


def _profile(coordinates: Tensor) -> Tensor:
    """4 τ (1 − τ) with τ the fraction of every cross-section's length, ``(count, n, n)``."""
    pieces = coordinates.diff(dim=-1).norm(dim=1)
    along = torch.nn.functional.pad(pieces.cumsum(-1), (1, 0))
    fraction = along / along[..., -1:]
    return 4 * fraction * (1 - fraction)
