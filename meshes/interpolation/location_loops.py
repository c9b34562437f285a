"""Compiled search for the cell that contains a point, and for the point's coordinates in it.

Nothing is imported from another file of loops, because Numba's cache would not notice changes there.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from meshes.interpolation.box_tree import LEAF, BoxTree

__all__ = ["CODES", "cell_boxes", "containing_cells", "reference_coordinates"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")

#: Numbers by which the loops know the straight-sided cells.
CODES = {"line": 0, "triangle": 1, "quad": 2, "tetra": 3, "hexahedron": 4, "wedge": 5}
_STEPS = 30


@compiled
def containing_cells(
    points: Array, cells: Array, codes: Array, tree: BoxTree, targets: Array, tolerance: float
) -> tuple[Array, Array]:
    """For every target the cell ``(m,)`` that holds it (−1: none) and its reference coordinates ``(m, 3)``.

    Cells ``(k, width)`` and codes are in the order of the tree, vertices padded by −1. Of several candidates within the
    tolerance the one in which the target lies deepest is taken.
    """
    m = len(targets)
    found = np.full(m, -1, dtype=np.int64)
    coordinates = np.zeros((m, 3))
    stack = np.empty(128, dtype=np.int64)
    xi = np.zeros(3)
    first_leaf = len(tree.low) // 2
    for t in range(m):
        p, deepest = targets[t], -tolerance
        stack[0], size = 1, 1
        while size:
            size -= 1
            node = stack[size]
            if node < first_leaf:
                for child in (2 * node, 2 * node + 1):
                    if holds(tree, child, p):
                        stack[size] = child
                        size += 1
                continue
            begin = (node - first_leaf) * LEAF
            for place in range(begin, min(begin + LEAF, len(tree.order))):
                inverse_map(points, cells[place], codes[place], p, xi)
                depth = inner_depth(codes[place], xi)
                if depth >= deepest and (found[t] < 0 or depth > deepest):
                    deepest, found[t] = depth, tree.order[place]
                    coordinates[t] = xi
            if deepest >= 0.0:
                break
    return found, coordinates


@compiled
def cell_boxes(points: Array, members: Array, margin: float) -> tuple[Array, Array]:
    """Boxes ``(k, dim)`` of node tuples ``(k, width)`` padded by −1, widened by a share of their longest side."""
    k, dim = len(members), points.shape[1]
    low, high = np.full((k, dim), np.inf), np.full((k, dim), -np.inf)
    for i in range(k):
        for v in range(members.shape[1]):
            if members[i, v] >= 0:
                for a in range(dim):
                    low[i, a] = min(low[i, a], points[members[i, v], a])
                    high[i, a] = max(high[i, a], points[members[i, v], a])
        longest = 0.0
        for a in range(dim):
            longest = max(longest, high[i, a] - low[i, a])
        for a in range(dim):
            low[i, a] -= margin * longest
            high[i, a] += margin * longest
    return low, high


@compiled
def reference_coordinates(points: Array, cells: Array, codes: Array, targets: Array) -> Array:
    """Coordinates ``(m, 3)`` of every target in the cell given for it, outside of the cell, too; NaN if it has none."""
    coordinates = np.zeros((len(targets), 3))
    for t in range(len(targets)):
        inverse_map(points, cells[t], codes[t], targets[t], coordinates[t])
    return coordinates


@compiled
def holds(tree: BoxTree, node: int, p: Array) -> bool:
    """Whether a box of the tree contains a point."""
    inside = True
    for a in range(len(p)):
        inside &= tree.low[node, a] <= p[a] <= tree.high[node, a]
    return inside


@compiled
def inner_depth(code: int, xi: Array) -> float:
    """The least of the functions that are positive inside the reference cell (barycentric coordinates of simplices)."""
    if not np.isfinite(xi[0] + xi[1] + xi[2]):
        return -np.inf
    if code == 0:
        return min(xi[0], 1 - xi[0])
    if code == 1:
        return min(xi[0], xi[1], 1 - xi[0] - xi[1])
    if code == 2:
        return min(xi[0], 1 - xi[0], xi[1], 1 - xi[1])
    if code == 3:
        return min(min(xi[0], xi[1]), min(xi[2], 1 - xi[0] - xi[1] - xi[2]))
    if code == 4:
        return min(min(xi[0], 1 - xi[0]), min(xi[1], 1 - xi[1]), min(xi[2], 1 - xi[2]))
    return min(min(xi[0], xi[1]), min(1 - xi[0] - xi[1], min(xi[2], 1 - xi[2])))


@compiled
def inverse_map(points: Array, nodes: Array, code: int, p: Array, xi: Array) -> None:
    """Solve x(xi) = p by Newton's method, Gauss-Newton on surfaces and curves; NaN where it does not converge."""
    if code == 1 and len(p) == 2:
        in_triangle(points, nodes, p, xi)
        return
    if code == 3:
        in_tetrahedron(points, nodes, p, xi)
        return
    dim, d = len(p), 1 if code == 0 else 2 if code <= 2 else 3
    affine = code <= 1
    xi[:] = 0.0
    if not affine:
        xi[:d] = 0.5 if code != 5 else 0.3
    N, dN = np.zeros(8), np.zeros((8, 3))
    J, r = np.zeros((3, 3)), np.zeros(3)
    settled = False
    for _ in range(_STEPS):
        linear_shape(code, xi, N, dN)
        J[:] = 0.0
        for a in range(dim):
            r[a] = p[a]
        for v in range(len(nodes)):
            if nodes[v] >= 0:
                for a in range(dim):
                    x = points[nodes[v], a]
                    r[a] -= N[v] * x
                    for b in range(d):
                        J[a, b] += dN[v, b] * x
        step = tangent_solve(J, r, dim, d)
        longest = max(abs(step[0]), abs(step[1]), abs(step[2]))
        shorter = 1.0 if affine else 1.0 / max(longest, 1.0)  # by more than a cell at once it would get lost
        for b in range(d):
            xi[b] += shorter * step[b]
        if settled:
            return
        # Convergence is quadratic (on simplices at once): one step more reaches rounding.
        settled = longest < 1e-8 or affine
    xi[:] = np.nan


@compiled
def in_triangle(points: Array, nodes: Array, p: Array, xi: Array) -> None:
    """Barycentric coordinates in the plane, by areas."""
    x0, y0 = points[nodes[0], 0], points[nodes[0], 1]
    ux, uy = points[nodes[1], 0] - x0, points[nodes[1], 1] - y0
    vx, vy = points[nodes[2], 0] - x0, points[nodes[2], 1] - y0
    px, py = p[0] - x0, p[1] - y0
    area = ux * vy - uy * vx
    xi[0], xi[1], xi[2] = (px * vy - py * vx) / area, (ux * py - uy * px) / area, 0.0


@compiled
def in_tetrahedron(points: Array, nodes: Array, p: Array, xi: Array) -> None:
    """Barycentric coordinates in space, by volumes."""
    x0, y0, z0 = points[nodes[0], 0], points[nodes[0], 1], points[nodes[0], 2]
    ux, uy, uz = points[nodes[1], 0] - x0, points[nodes[1], 1] - y0, points[nodes[1], 2] - z0
    vx, vy, vz = points[nodes[2], 0] - x0, points[nodes[2], 1] - y0, points[nodes[2], 2] - z0
    wx, wy, wz = points[nodes[3], 0] - x0, points[nodes[3], 1] - y0, points[nodes[3], 2] - z0
    px, py, pz = p[0] - x0, p[1] - y0, p[2] - z0
    ax, ay, az = vy * wz - vz * wy, vz * wx - vx * wz, vx * wy - vy * wx
    volume = ux * ax + uy * ay + uz * az
    bx, by, bz = uy * pz - uz * py, uz * px - ux * pz, ux * py - uy * px
    xi[0] = (px * ax + py * ay + pz * az) / volume
    xi[1] = (wx * bx + wy * by + wz * bz) / volume
    xi[2] = -(vx * bx + vy * by + vz * bz) / volume


@compiled
def tangent_solve(J: Array, r: Array, dim: int, d: int) -> Array:
    """The step of least ‖J step − r‖ for J ``(dim, d)``: Cramer's rule, on the normal equations if dim > d."""
    A, c = np.zeros((3, 3)), np.zeros(3)
    for a in range(3):
        A[a, a] = 1.0
    for a in range(d):
        c[a] = r[a]
        for b in range(d):
            A[a, b] = J[a, b]
    if dim > d:
        for a in range(d):
            c[a] = 0.0
            for k in range(dim):
                c[a] += J[k, a] * r[k]
            for b in range(d):
                A[a, b] = 0.0
                for k in range(dim):
                    A[a, b] += J[k, a] * J[k, b]
    step = np.zeros(3)
    determinant = det3(A[:, 0], A[:, 1], A[:, 2])
    step[0] = det3(c, A[:, 1], A[:, 2]) / determinant
    step[1] = det3(A[:, 0], c, A[:, 2]) / determinant
    step[2] = det3(A[:, 0], A[:, 1], c) / determinant
    return step


@compiled
def det3(a: Array, b: Array, c: Array) -> float:
    """a · (b × c)."""
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])


@compiled
def linear_shape(code: int, xi: Array, N: Array, dN: Array) -> None:
    """Values and derivatives of the shape functions of the straight-sided cells, as in `shape_functions`."""
    x, y, z = xi[0], xi[1], xi[2]
    dN[:] = 0.0
    if code == 0:
        N[0], N[1] = 1 - x, x
        dN[0, 0], dN[1, 0] = -1.0, 1.0
    elif code == 1 or code == 3:
        N[0], N[1], N[2], N[3] = 1 - x - y - z, x, y, z
        for b in range(3):
            dN[0, b], dN[b + 1, b] = -1.0, 1.0
    elif code == 5:
        for level in range(2):
            h, dh = (z, 1.0) if level else (1 - z, -1.0)
            k = 3 * level
            N[k], N[k + 1], N[k + 2] = (1 - x - y) * h, x * h, y * h
            dN[k, 0], dN[k, 1], dN[k, 2] = -h, -h, (1 - x - y) * dh
            dN[k + 1, 0], dN[k + 1, 2] = h, x * dh
            dN[k + 2, 1], dN[k + 2, 2] = h, y * dh
    else:
        for level in range(2 if code == 4 else 1):
            h, dh = ((z, 1.0) if level else (1 - z, -1.0)) if code == 4 else (1.0, 0.0)
            for corner in range(4):
                right, upper = corner == 1 or corner == 2, corner >= 2
                f, df = (x, 1.0) if right else (1 - x, -1.0)
                g, dg = (y, 1.0) if upper else (1 - y, -1.0)
                k = 4 * level + corner
                N[k] = f * g * h
                dN[k, 0], dN[k, 1], dN[k, 2] = df * g * h, f * dg * h, f * g * dh
