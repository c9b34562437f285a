"""The network of the coordinates, and its derivatives by forward-mode differentiation."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.learners.multionet.activations import activation

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """Layers t_k = s(W_k t_{k−1} + c_k) over points t_0 = x; the last ``aggregate`` of them are its answer.

    Derivatives with respect to x travel forward with the values: ∂t_k = s'(z) W_k ∂t_{k−1}, a matrix product more per
    coordinate and layer, at a cost that knows nothing of the number of samples.

    Parameters
    ----------
    dim, width, depth, aggregate
        Coordinates of a point, neurons a layer, layers, and how many of the last ones are answered.
    name
        The activation.
    """

    def __init__(self, dim: int, width: int, depth: int, aggregate: int, name: str) -> None:
        super().__init__()
        self.aggregate, self.activation = aggregate, activation(name)
        sizes = [dim, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, points: Tensor) -> list[Tensor]:
        """The last layers' values ``(..., width)`` at points ``(..., dim)``."""
        answers, t = [], points
        for layer in self.layers:
            (t,) = self.activation(layer(t), 0)
            answers.append(t)
        return answers[-self.aggregate :]

    def jet(self, points: Tensor, order: int) -> tuple[Tensor, ...]:
        """Features T and their first ``order`` (0, 1 or 2) derivatives at points ``(..., dim)``.

        Returns
        -------
        tuple
            ``(..., F)``, ``(dim, ..., F)`` for ∂T/∂xᵢ, ``(dim, dim, ..., F)`` for ∂²T/∂xᵢ∂xⱼ, with F = aggregate·width.
        """
        if order == 0:
            return (torch.cat(self(points), -1),)
        dim = points.shape[-1]
        pairs = list(combinations_with_replacement(range(dim), 2)) if order == 2 else []
        left, right = [i for i, _ in pairs], [j for _, j in pairs]
        t = points
        # ∂x/∂xᵢ is the i-th unit vector in every point; its second derivatives vanish.
        lead = [1] * (points.ndim - 1)
        first = torch.eye(dim, dtype=points.dtype, device=points.device).reshape(dim, *lead, dim)
        second = first.new_zeros(len(pairs), *lead, dim)
        stages = []
        for layer in self.layers:
            z, weight = layer(t), cast(nn.Linear, layer).weight
            first = functional.linear(first, weight)
            if order == 1:
                t, slope = self.activation(z, 1)
            else:
                t, slope, curvature = self.activation(z, 2)
                second = slope * functional.linear(second, weight) + curvature * first[left] * first[right]
            first = slope * first
            stages.append((t, first, second))
        answers = stages[-self.aggregate :]
        values, jacobian = torch.cat([a[0] for a in answers], -1), torch.cat([a[1] for a in answers], -1)
        if order == 1:
            return values, jacobian
        entries = torch.cat([a[2] for a in answers], -1)
        place = torch.empty(dim, dim, dtype=torch.long)
        place[left, right] = place[right, left] = torch.arange(len(pairs))
        return values, jacobian, entries[place.flatten().to(entries.device)].unflatten(0, (dim, dim))
