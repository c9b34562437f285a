"""Nodes to begin with inside a region: hexagonal lattices of the wanted spacing, and which points are inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError

__all__ = ["inside", "seeds"]

Array = NDArray[Any]

# A block becomes one lattice when the wanted length varies in it by no more than this.
_VARIATION = 1.3
_LEVELS = 24
_LARGEST = 5_000_000
_CHUNK = 20_000_000


def seeds(low: Array, high: Array, size: Callable[[Array], Array], seed: int) -> Array:
    """Points ``(m, 2)`` over a box, about one for every (√3/2) h².

    The box is cut into quarters until the size function hardly varies; each block is filled by a hexagonal lattice of
    its smallest length and thinned at random by (h_block/h)². Where h is constant nothing is thinned, and the lattices
    of all blocks are one.

    Raises
    ------
    MeshError
        Sizes that ask for more than five million nodes.
    """
    rng = np.random.default_rng(seed)
    corner, side = low[None].astype(np.float64), float((high - low).max())
    grid = np.stack(np.meshgrid([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], indexing="ij"), -1).reshape(-1, 2)
    found, count = [], 0.0
    for level in range(_LEVELS):
        probes = corner[:, None] + side * grid
        h = size(probes.reshape(-1, 2)).reshape(len(corner), -1)
        least = h.min(axis=1)
        uniform = (h.max(axis=1) <= _VARIATION * least) | (side < 4 * least) | (level == _LEVELS - 1)
        count += float((side**2 / least[uniform] ** 2).sum())
        if count > _LARGEST:
            raise MeshError(f"the wanted sizes ask for more than {_LARGEST} nodes: enlarge them.")
        # A loop over blocks, of which there are few: each holds a lattice.
        found += [_lattice(c, side, spacing, high) for c, spacing in zip(corner[uniform], least[uniform], strict=True)]
        side *= 0.5
        quarters = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * side
        corner = (corner[~uniform][:, None] + quarters).reshape(-1, 2)
        corner = corner[(corner < high).all(axis=1)]
        if not len(corner):
            break
    points, spacing = np.concatenate([p for p, _ in found]), np.concatenate([s for _, s in found])
    return points[rng.uniform(size=len(points)) < 1.0001 * (spacing / size(points)) ** 2]


def _lattice(corner: Array, side: float, spacing: float, high: Array) -> tuple[Array, Array]:
    """The points of the hexagonal lattice through the origin that lie in a block, and their spacing."""
    row = spacing * np.sqrt(0.75)
    end = np.minimum(corner + side, high)
    j = np.arange(np.ceil(corner[1] / row), np.ceil(end[1] / row))
    i = np.arange(np.floor(corner[0] / spacing) - 1, np.ceil(end[0] / spacing) + 1)
    x = (i[None, :] + 0.5 * (j[:, None] % 2)) * spacing
    points = np.stack([x, np.broadcast_to(j[:, None] * row, x.shape)], axis=-1).reshape(-1, 2)
    points = points[(points[:, 0] >= corner[0]) & (points[:, 0] < end[0])]
    return points, np.full(len(points), spacing)


def inside(points: Array, ends: Array) -> Array:
    """Which points ``(m, 2)`` lie inside of closed curves with edges ``(e, 2, 2)``: an odd number to their right."""
    result = np.zeros(len(points), dtype=bool)
    (x0, y0), (x1, y1) = ends[:, 0].T, ends[:, 1].T
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    step = max(1, _CHUNK // max(len(ends), 1))
    for begin in range(0, len(points), step):
        x, y = points[begin : begin + step].T[..., None]
        crosses = ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / rise)
        result[begin : begin + step] = crosses.sum(axis=1) % 2 == 1
    return result
