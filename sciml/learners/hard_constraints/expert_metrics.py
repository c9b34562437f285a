"""How well experts fit together, and how evenly they are loaded."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.learners.hard_constraints.boxes import Boxes

__all__ = ["interface_jump", "load_imbalance"]


@torch.no_grad()
def interface_jump(basis: Tensor, weights: Tensor, boxes: Boxes) -> Tensor:
    """Root mean square of u⁺ − u⁻ in the points next to interfaces, ``(B,)``; zero without an interface.

    u⁺ and u⁻ are the fields of the two experts, both continued to the same point.

    Parameters
    ----------
    basis
        ``(B, N, *shape)``.
    weights
        ``(B, K, N)``.

    Examples
    --------
    >>> boxes = Boxes.from_owner((2,), torch.tensor([0, 1]))
    >>> interface_jump(torch.ones(1, 1, 2), torch.tensor([[[1.0], [3.0]]]), boxes)
    tensor([2.])
    """
    owner = boxes.owner.unflatten(0, boxes.shape)
    squares, count = weights.new_zeros(len(weights)), 0
    for axis, n in enumerate(boxes.shape):
        before, after = owner.narrow(axis, 0, n - 1), owner.narrow(axis, 1, n - 1)
        where = before != after
        difference = (weights[:, after[where]] - weights[:, before[where]]).mT
        for begin in (0, 1):
            near = basis.narrow(2 + axis, begin, n - 1)[:, :, where].to(weights)
            squares = squares + (near * difference).sum(1).square().sum(-1)
        count += 2 * int(where.sum())
    return (squares / max(count, 1)).sqrt()


def load_imbalance(boxes: Boxes) -> float:
    """Points of the largest expert over the mean: 1 where all are equal.

    Examples
    --------
    >>> load_imbalance(Boxes.from_owner((4,), torch.tensor([0, 0, 0, 1])))
    1.5
    """
    loads = boxes.loads.double()
    return float(loads.max() / loads.mean())
