"""How often a closed surface winds around points: what lies inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh
from pde_benchmarks.errors import ProblemError

__all__ = ["closed_triangles", "winding_numbers"]

Array = NDArray[Any]

#: Pairs of triangles and columns that are looked at together.
_CHUNK = 4_000_000


def closed_triangles(surface: Mesh) -> Array:
    """The triangles ``(m, 3)`` of a closed surface; quadrilaterals are cut in two.

    Raises
    ------
    ProblemError
        The mesh is not a surface in space, or has edges that are not met once in each direction.

    Examples
    --------
    >>> corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> faces = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
    >>> len(closed_triangles(Mesh(corners, {"triangle": faces})))
    4
    """
    kinds = {kind for kind, nodes in surface.cells.items() if len(nodes)} & {"triangle", "quad"}
    if surface.space_dimension != 3 or surface.dimension != 2 or not kinds:
        raise ProblemError(
            f"a mesh of {', '.join(surface.cells) or 'no cells'} in {surface.space_dimension}-D: an obstacle is a "
            "closed surface of triangles or quadrilaterals in 3-D (take the boundary of a volume mesh)."
        )
    parts = [surface.cells["triangle"]] if "triangle" in kinds else []
    if "quad" in kinds:
        quads = surface.cells["quad"]
        parts += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    triangles = np.concatenate(parts)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    turned = edges[:, 0] > edges[:, 1]
    edges[turned] = edges[turned][:, ::-1]
    _, which = np.unique(edges, axis=0, return_inverse=True)
    balance = np.bincount(which.reshape(-1), weights=np.where(turned, -1.0, 1.0))
    unmatched = int((balance != 0).sum())
    if unmatched:
        raise ProblemError(
            f"the surface is not closed: {unmatched} edges lack a triangle on their other side, or one that is "
            "oriented alike; close the holes and make the orientation uniform."
        )
    return np.asarray(triangles)


def winding_numbers(points: Array, triangles: Array, lines: tuple[Array, Array, Array]) -> Array:
    """Winding number of a closed surface around every point of a rectilinear grid, int64 ``(nx, ny, nz)``.

    It is the sum of the signs of all crossings of the surface by the ray from the point along x: 1 inside a surface
    with outward normals, 0 outside, 2 where two parts overlap. Rays that meet a vertex or an edge are moved by an
    infinitely small amount, the same for all triangles, so that every crossing counts once.

    Parameters
    ----------
    points
        Vertices ``(n, 3)``.
    triangles
        Of `closed_triangles`.
    lines
        The coordinates x, y, z of the grid, each ascending.

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]], dtype=float)
    >>> faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    >>> winding_numbers(corners, faces, (np.array([-1.0, 1.0, 3.0]), np.array([1.0]), np.array([1.0])))[:, 0, 0]
    array([0, 1, 0])
    """
    x, y, z = (np.asarray(line, dtype=np.float64) for line in lines)
    corners = np.asarray(points, dtype=np.float64)[triangles]
    first_y, last_y = _covered(corners[:, :, 1], y)
    first_z, last_z = _covered(corners[:, :, 2], z)
    width_y, width_z = np.maximum(last_y - first_y, 0), np.maximum(last_z - first_z, 0)
    pairs = width_y * width_z
    # Crossings are entered at the first grid point that they lie behind; sums along x make winding numbers of them.
    ahead = np.zeros((len(x) + 1, len(y), len(z)), dtype=np.int64)
    for part in _chunks(pairs):
        owner = np.repeat(part, pairs[part])
        within = np.arange(len(owner)) - np.repeat(np.cumsum(pairs[part]) - pairs[part], pairs[part])
        iy, iz = first_y[owner] + within // width_z[owner], first_z[owner] + within % width_z[owner]
        sign, depth = _crossings(triangles[owner], corners[owner], y[iy], z[iz])
        hit = sign != 0
        np.add.at(ahead, (np.searchsorted(x, depth[hit]), iy[hit], iz[hit]), sign[hit])
    return np.asarray(ahead[::-1].cumsum(axis=0)[::-1][1:])


def _covered(values: Array, line: Array) -> tuple[Array, Array]:
    """Half-open range of the places of `line` between the least and the largest of every row."""
    return np.searchsorted(line, values.min(axis=1)), np.searchsorted(line, values.max(axis=1), side="right")


def _chunks(pairs: Array) -> list[Array]:
    if not len(pairs):
        return []
    chunk = np.cumsum(pairs) // _CHUNK
    return np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(chunk)) + 1)


def _crossings(numbers: Array, corners: Array, y: Array, z: Array) -> tuple[Array, Array]:
    """Sign of the crossing of every triangle by the line through (y, z) along x, 0 for none, and its x."""
    sides = []
    for i, j in ((1, 2), (2, 0), (0, 1)):
        # In one order of the two ends, so that both triangles of an edge see exactly opposite numbers.
        turned = numbers[:, i] > numbers[:, j]
        a = np.where(turned[:, None], corners[:, j], corners[:, i])
        b = np.where(turned[:, None], corners[:, i], corners[:, j])
        dy, dz = b[:, 1] - a[:, 1], b[:, 2] - a[:, 2]
        area = dy * (z - a[:, 2]) - dz * (y - a[:, 1])
        # The point is moved to (y + ε², z + ε).
        side = np.sign(np.where(area != 0, area, np.where(dy != 0, dy, -dz)))
        sides.append((np.where(turned, -side, side), np.where(turned, -area, area)))
    signs = [side for side, _ in sides]
    inside = (signs[0] == signs[1]) & (signs[1] == signs[2])
    weights = np.stack([area for _, area in sides], axis=1)
    total = weights.sum(axis=1)
    safe = np.where(total != 0, total, 1)
    depth = (weights * corners[:, :, 0]).sum(axis=1) / safe
    return np.where(inside & (total != 0), signs[0], 0).astype(np.int64), depth
