"""Averages of neighbours, solved: every inner node of a triangulation lies at the weighted mean of those around it."""

from __future__ import annotations

import torch
from torch import Tensor

from meshes.morphing.given_values import solve_given
from meshes.morphing.weights import Weights
from solvers import Solver, SuperLU

__all__ = ["tutte_embedding"]


def tutte_embedding(
    points: Tensor, triangles: Tensor, rim: Tensor, places: Tensor, weights: Weights, solver: Solver | None = None
) -> Tensor:
    """Σ_j w_vj (u_j − u_v) = 0 at every node v but those of the rim, whose u is given (Tutte 1963, Floater 2003).

    Parameters
    ----------
    points
        Nodes ``(*batch, n, dim)`` of meshes that share their triangles, float64; w depends on them, and gradients of
        any order flow back to them.
    triangles
        Node numbers ``(k, 3)``.
    rim
        Numbers ``(m,)`` of the nodes that are given.
    places
        Their images ``(*batch, m, c)``.
    weights
        `harmonic_weights`, `mean_value_weights` or `uniform_weights`.
    solver
        `SuperLU()` by default.

    Returns
    -------
    Tensor
        Images ``(*batch, n, c)`` of all nodes.

    Raises
    ------
    solvers.SolveError
        The weights are not finite (collapsed triangles), or nothing ties some nodes to the rim.

    Examples
    --------
    >>> import torch
    >>> from meshes.morphing import mean_value_weights
    >>> points = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.2, 0.4]], dtype=torch.float64)
    >>> fan = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    >>> u = tutte_embedding(points, fan, torch.arange(4), 3 * points[:4], mean_value_weights)
    >>> u[4].allclose(3 * points[4])  # linear functions are reproduced
    True
    """
    start = triangles[:, :, None].expand(-1, -1, 2).reshape(-1)
    end = torch.stack([triangles.roll(-1, 1), triangles.roll(1, 1)], dim=2).reshape(-1)
    w = weights(points[..., triangles, :]).reshape(*points.shape[:-2], -1)
    triplets = torch.cat([start, start]), torch.cat([start, end]), torch.cat([w, -w], dim=-1)
    return solve_given(triplets, rim, places, points.shape[-2], solver or SuperLU())
