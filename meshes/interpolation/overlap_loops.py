"""Compiled intersection of the triangles of two plane meshes.

Nothing is imported from another file of loops, because Numba's cache would not notice changes there.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from meshes.interpolation.box_tree import LEAF, BoxTree

__all__ = ["overlaps"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def overlaps(
    points: Array, cells: Array, other_points: Array, other_cells: Array, tree: BoxTree
) -> tuple[Array, Array, Array]:
    """Triangles ``(k, 3, 2)`` that make up all intersections, with the cell ``(k,)`` of either mesh they lie in.

    Cells have vertices ``(·, 3)``; the tree is over those of the other mesh.
    """
    room, count = 4 * (len(cells) + len(other_cells)), 0
    triangles, first, second = np.empty((room, 3, 2)), np.empty(room, np.int64), np.empty(room, np.int64)
    stack = np.empty(128, dtype=np.int64)
    a, b = np.empty((3, 2)), np.empty((3, 2))
    polygon, work = np.empty((8, 2)), np.empty((8, 2))
    first_leaf = len(tree.low) // 2
    for i in range(len(cells)):
        corners(points, cells[i], a)
        stack[0], size = 1, 1
        while size:
            size -= 1
            node = stack[size]
            if apart(tree.low[node], tree.high[node], a):
                continue
            if node < first_leaf:
                stack[size], stack[size + 1] = 2 * node, 2 * node + 1
                size += 2
                continue
            begin = (node - first_leaf) * LEAF
            for place in range(begin, min(begin + LEAF, len(tree.order))):
                j = tree.order[place]
                corners(other_points, other_cells[j], b)
                n = clipped(a, b, polygon, work)
                for k in range(1, n - 1):
                    if count == len(first):
                        triangles = np.concatenate((triangles, np.empty_like(triangles)))
                        first = np.concatenate((first, np.empty_like(first)))
                        second = np.concatenate((second, np.empty_like(second)))
                    triangles[count, 0], triangles[count, 1] = polygon[0], polygon[k]
                    triangles[count, 2] = polygon[k + 1]
                    first[count], second[count] = i, j
                    count += 1
    return triangles[:count], first[:count], second[:count]


@compiled
def corners(points: Array, cell: Array, out: Array) -> None:
    """Vertices of a triangle, counter-clockwise."""
    for v in range(3):
        out[v] = points[cell[v]]
    if cross(out[0], out[1], out[2]) < 0:
        out[1], out[2] = points[cell[2]], points[cell[1]]


@compiled
def apart(low: Array, high: Array, corners: Array) -> bool:
    """Whether a triangle's box does not meet a box."""
    for axis in range(2):
        least = min(corners[0, axis], corners[1, axis], corners[2, axis])
        most = max(corners[0, axis], corners[1, axis], corners[2, axis])
        if not (least < high[axis] and most > low[axis]):
            return True
    return False


@compiled
def clipped(a: Array, b: Array, polygon: Array, work: Array) -> int:
    """The part of triangle a inside of triangle b (Sutherland and Hodgman 1974): number of vertices."""
    n = 3
    polygon[:3] = a
    for side in range(3):
        p, q = b[side], b[(side + 1) % 3]
        work[:n] = polygon[:n]
        m = 0
        for v in range(n):
            start, end = work[v], work[(v + 1) % n]
            before, after = cross(p, q, start), cross(p, q, end)
            if before >= 0:
                polygon[m] = start
                m += 1
            if (before > 0 and after < 0) or (before < 0 and after > 0):
                polygon[m] = start + before / (before - after) * (end - start)
                m += 1
        n = m
        if n < 3:
            return 0
    return n


@compiled
def cross(p: Array, q: Array, x: Array) -> float:
    """(q − p) × (x − p)."""
    return (q[0] - p[0]) * (x[1] - p[1]) - (q[1] - p[1]) * (x[0] - p[0])
