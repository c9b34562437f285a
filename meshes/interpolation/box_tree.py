"""A tree of boxes over many small things: who may contain a point, who may be nearest to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAF", "BoxTree", "box_tree"]

Array = NDArray[Any]

#: Members of a leaf.
LEAF = 4
# Bits of a Morton code for each axis: together at most 63.
_BITS = {1: 60, 2: 30, 3: 20}


class BoxTree(NamedTuple):
    """A complete binary tree, numbered like a heap: the root is 1, the children of i are 2 i and 2 i + 1.

    Attributes
    ----------
    low, high
        Corners ``(nodes, dim)`` of every node's box; boxes without members are inside out.
    order
        ``(members,)`` the members in the order of the leaves, `LEAF` of them each.
    """

    low: Array
    high: Array
    order: Array


def box_tree(low: Array, high: Array) -> BoxTree:
    """The tree over members with boxes ``(members, dim)``.

    Members are sorted along Morton's curve (1966), which adapts to any grading of the mesh, so that building is one
    sort and a minimum and a maximum for every level.

    Examples
    --------
    >>> box_tree(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])).high[1]
    array([3.])
    """
    members, dim = low.shape
    order = np.argsort(_morton_codes(0.5 * (low + high)))
    leaves = 1 << max(0, int(np.ceil(np.log2(max(members, 1) / LEAF))))
    lows = np.full((2 * leaves, dim), np.inf)
    highs = np.full((2 * leaves, dim), -np.inf)
    padding = ((0, leaves * LEAF - members), (0, 0))
    lows[leaves:] = np.pad(low[order], padding, constant_values=np.inf).reshape(leaves, LEAF, dim).min(axis=1)
    highs[leaves:] = np.pad(high[order], padding, constant_values=-np.inf).reshape(leaves, LEAF, dim).max(axis=1)
    while leaves > 1:
        leaves //= 2
        below = slice(2 * leaves, 4 * leaves)
        lows[leaves : 2 * leaves] = lows[below].reshape(leaves, 2, dim).min(axis=1)
        highs[leaves : 2 * leaves] = highs[below].reshape(leaves, 2, dim).max(axis=1)
    return BoxTree(lows, highs, order)


def _morton_codes(points: Array) -> Array:
    """The bits of the scaled coordinates, interleaved: ``(n,)`` uint64."""
    dim = points.shape[1]
    bits = _BITS[dim]
    extent = np.ptp(points, axis=0).max(initial=0.0) or 1.0
    origin = points.min(axis=0, initial=np.inf)
    scaled = ((points - origin) / extent * (2**bits - 1)).astype(np.uint64)
    codes = np.zeros(len(points), dtype=np.uint64)
    for axis in range(dim):
        codes |= _spread(scaled[:, axis], dim) << np.uint64(axis)
    return codes


def _spread(x: Array, dim: int) -> Array:
    """Put dim − 1 zero bits between the bits of x, by halving: the blocks that move get shorter at each step."""
    if dim == 1:
        return x
    steps = {
        2: ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
            (1, 0x5555555555555555)),
        3: ((32, 0x001F00000000FFFF), (16, 0x001F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
            (2, 0x1249249249249249)),
    }[dim]  # fmt: skip
    for shift, mask in steps:
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x
