"""Weights of the edges of a triangulation that make the average of neighbours a discrete Laplace equation.

A function here takes the corners ``(*batch, k, 3, dim)`` of triangles and returns, for each corner, what the triangle
adds to the weights of the edges to the next and to the previous corner, ``(*batch, k, 3, 2)``; differentiable.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Weights", "harmonic_weights", "mean_value_weights", "uniform_weights"]

Weights = Callable[[Tensor], Tensor]


def uniform_weights(corners: Tensor) -> Tensor:
    """Every neighbour counts the same (Tutte 1963): positive, hence never a fold, but the map depends on the mesh.

    Examples
    --------
    >>> uniform_weights(torch.zeros(1, 3, 2)).unique().tolist()
    [0.5]
    """
    return corners.new_full((*corners.shape[:-1], 2), 0.5)


def mean_value_weights(corners: Tensor) -> Tensor:
    """w_vj = (tan(α/2) + tan(β/2)) / |x_j − x_v|, α and β the angles at v beside the edge vj (Floater 2003).

    Positive, hence never a fold; exact for linear functions; unsymmetric.

    Examples
    --------
    >>> right = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    >>> mean_value_weights(right)[0, 0]  # tan 45° over edges of length one
    tensor([1., 1.], dtype=torch.float64)
    """
    following, previous = _legs(corners)
    lengths = torch.stack([following.norm(dim=-1), previous.norm(dim=-1)], dim=-1)
    half = _twice_area(corners)[..., None] / (lengths.prod(dim=-1) + (following * previous).sum(dim=-1))
    return half[..., None] / lengths


def harmonic_weights(corners: Tensor) -> Tensor:
    """w_vj = (cot α + cot β) / 2, α and β the angles opposite the edge vj: the stiffness of P1 elements.

    Exact for linear functions and symmetric; the map converges with the mesh to the harmonic one, and depends least on
    the mesh. Negative where α + β > 180°: then cells can fold.

    Examples
    --------
    >>> right = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    >>> harmonic_weights(right)[0].tolist()  # the right angle makes nothing of the edge opposite
    [[0.5, 0.5], [0.0, 0.5], [0.5, 0.0]]
    """
    following, previous = _legs(corners)
    cotangent = (following * previous).sum(dim=-1) / _twice_area(corners)[..., None]
    # The edge to the next corner lies opposite the previous one.
    return 0.5 * torch.stack([cotangent.roll(1, dims=-1), cotangent.roll(-1, dims=-1)], dim=-1)


def _legs(corners: Tensor) -> tuple[Tensor, Tensor]:
    return corners.roll(-1, dims=-2) - corners, corners.roll(1, dims=-2) - corners


def _twice_area(corners: Tensor) -> Tensor:
    """|e × f| in any dimension; in the plane and in space without cancellation for thin triangles."""
    e, f = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    if corners.shape[-1] == 2:
        return (e[..., 0] * f[..., 1] - e[..., 1] * f[..., 0]).abs()
    return torch.linalg.cross(e, f).norm(dim=-1)
