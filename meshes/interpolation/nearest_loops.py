"""Compiled search for the nearest point on many points, segments or triangles.

Nothing is imported from another file of loops, because Numba's cache would not notice changes there.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from meshes.interpolation.box_tree import LEAF, BoxTree

__all__ = ["nearest_simplices"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def nearest_simplices(points: Array, simplices: Array, tree: BoxTree, targets: Array) -> tuple[Array, Array]:
    """For every target the nearest of the simplices ``(s, 1 to 3)`` and the nearest point on it ``(m, dim)``."""
    m, dim = targets.shape
    found = np.full(m, -1, dtype=np.int64)
    nearest = np.zeros((m, dim))
    stack = np.empty(128, dtype=np.int64)
    first_leaf = len(tree.low) // 2
    corners, trial, best = np.zeros((3, 3)), np.zeros(3), np.zeros(3)
    p = np.zeros(3)
    for t in range(m):
        p[:dim] = targets[t]
        least = np.inf
        stack[0], size = 1, 1
        while size:
            size -= 1
            node = stack[size]
            if box_distance(tree, node, targets[t]) >= least:
                continue
            if node < first_leaf:
                left, right = 2 * node, 2 * node + 1
                if box_distance(tree, left, targets[t]) < box_distance(tree, right, targets[t]):
                    left, right = right, left
                stack[size], stack[size + 1] = left, right
                size += 2
                continue
            begin = (node - first_leaf) * LEAF
            for place in range(begin, min(begin + LEAF, len(tree.order))):
                simplex = tree.order[place]
                for v in range(simplices.shape[1]):
                    corners[v, :dim] = points[simplices[simplex, v]]
                distance = on_simplex(corners, simplices.shape[1], p, trial)
                if distance < least:
                    least, found[t] = distance, simplex
                    best[:] = trial
        nearest[t] = best[:dim]
    return found, nearest


@compiled
def box_distance(tree: BoxTree, node: int, p: Array) -> float:
    """Squared distance of a point from a box."""
    total = 0.0
    for a in range(len(p)):
        gap = max(tree.low[node, a] - p[a], p[a] - tree.high[node, a], 0.0)
        total += gap * gap
    return total


@compiled
def on_simplex(corners: Array, count: int, p: Array, out: Array) -> float:
    """The point of a simplex nearest to p, and its squared distance."""
    if count == 1:
        out[:] = corners[0]
        return squared(p, out)
    if count == 2:
        return on_segment(corners[0], corners[1], p, out)
    u, v, w = corners[1] - corners[0], corners[2] - corners[0], p - corners[0]
    uu, uv, vv, uw, vw = np.sum(u * u), np.sum(u * v), np.sum(v * v), np.sum(u * w), np.sum(v * w)
    determinant = uu * vv - uv * uv
    a, b = (vv * uw - uv * vw) / determinant, (uu * vw - uv * uw) / determinant
    if a >= 0 and b >= 0 and a + b <= 1:
        out[:] = corners[0] + a * u + b * v
        return squared(p, out)
    least, trial = np.inf, np.zeros(3)
    for k in range(3):
        distance = on_segment(corners[k], corners[(k + 1) % 3], p, trial)
        if distance < least:
            least = distance
            out[:] = trial
    return least


@compiled
def on_segment(a: Array, b: Array, p: Array, out: Array) -> float:
    """The point of a segment nearest to p, and its squared distance."""
    direction = b - a
    length = np.sum(direction * direction)
    share = np.sum((p - a) * direction) / length if length > 0 else 0.0
    out[:] = a + min(max(share, 0.0), 1.0) * direction
    return squared(p, out)


@compiled
def squared(a: Array, b: Array) -> float:
    """‖a − b‖²."""
    return np.sum((a - b) ** 2)
