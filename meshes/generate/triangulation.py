"""Unstructured triangles in plane regions: Delaunay triangulations with a size function and a fixed boundary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.generate.boundary_sampling import SampledBoundary, refine_edges, sample_boundary
from meshes.generate.boundary_sets import with_boundary_sets
from meshes.generate.outline import Loop
from meshes.generate.relaxation import edges_of, relaxed
from meshes.generate.seeding import inside, seeds
from meshes.generate.size import Size
from meshes.mesh import Mesh
from meshes.topology import boundary_facets, match_rows, restrict

__all__ = ["triangulate"]

Array = NDArray[Any]

_ROUNDS = 12
# Triangles flatter than this (area over longest edge squared) lie between nodes of one straight side.
_FLAT = 1e-9


def triangulate(loops: Sequence[Loop], size: Size, seed: int = 0, iterations: int = 60) -> Mesh:
    """Triangles in the region bounded by closed loops.

    The boundary is sampled by the size function and stays; nodes inside start on hexagonal lattices, relax like the
    joints of a truss whose bars push apart (Persson and Strang 2004), and are triangulated by Delaunay's criterion.
    Boundary edges that the triangulation misses, at thin walls or sharp corners, are halved until none is missing.

    Parameters
    ----------
    loops
        The outer boundary and the holes, in any order and direction; loops must neither cross nor touch.
    size
        Wanted edge length, a number or a function of points ``(m, 2)``, such as `GradedSize`.
    seed
        Of the thinning of nodes where the size varies; the same arguments give the same mesh.
    iterations
        Steps of the relaxation.

    Returns
    -------
    Mesh
        Positively oriented triangles; facet and node sets by the names of the loops' pieces, facets outward.

    Raises
    ------
    MeshError
        Loops that cross or touch, or sizes that are not positive.

    Examples
    --------
    >>> from meshes.generate import circle, polygon
    >>> square = polygon([[0, 0], [1, 0], [1, 1], [0, 1]], ["bottom", "right", "top", "left"])
    >>> mesh = triangulate([square, circle([0.5, 0.5], 0.2, "hole")], 0.1)
    >>> sorted(mesh.facet_sets)
    ['bottom', 'hole', 'left', 'right', 'top']
    """
    h = _size_function(size)
    sampled = sample_boundary(loops, h)
    ends = sampled.points[sampled.edges]
    free = seeds(sampled.points.min(axis=0), sampled.points.max(axis=0), h, seed)
    free = free[inside(free, ends)]
    free = _kept_off(free, sampled, h)
    free = relaxed(free, sampled.points, h, iterations)
    free = _kept_off(free[inside(free, ends)], sampled, h)
    return _conforming(loops, sampled, free)


def _conforming(loops: Sequence[Loop], sampled: SampledBoundary, free: Array) -> Mesh:
    """The part of the Delaunay triangulation inside, after boundary edges that it misses have been halved."""
    from scipy.spatial import Delaunay

    for _ in range(_ROUNDS):
        points = np.concatenate([sampled.points, free])
        triangles = _without_flat(points, Delaunay(points).simplices.astype(np.int64))
        missing = np.flatnonzero(match_rows(edges_of(triangles), np.sort(sampled.edges, axis=1)) < 0)
        if not len(missing):
            return _named(loops, sampled, points, triangles)
        sampled = refine_edges(loops, sampled, missing)
        # A node inside the circle over a new edge would cost the edge again.
        free = _outside_of_circles(free, sampled.points[sampled.edges])
    where = sampled.points[sampled.edges[missing[0]]].mean(axis=0)
    raise MeshError(
        f"{len(missing)} boundary edges cannot be kept, the first at ({where[0]:.4g}, {where[1]:.4g}): loops that "
        "cross or touch there, or walls much thinner than the wanted size; move them apart or lower the size."
    )


def _named(loops: Sequence[Loop], sampled: SampledBoundary, points: Array, triangles: Array) -> Mesh:
    centroids = points[triangles].mean(axis=1)
    mesh, old = restrict(Mesh(points, {"triangle": triangles[inside(centroids, points[sampled.edges])]}))
    lines = boundary_facets(mesh).get("line", np.zeros((0, 2), dtype=np.int64))
    edge = match_rows(np.sort(sampled.edges, axis=1), np.sort(old[lines], axis=1))
    if len(edge) != len(sampled.edges) or (edge < 0).any():
        raise MeshError("the boundary of the triangles is not the one wanted: loops that cross or touch each other.")
    names = [name for loop in loops for name in loop.names]
    piece = sampled.piece[edge]
    sets = {
        name: {"line": lines[np.isin(piece, [i for i, other in enumerate(names) if other == name])]}
        for name in dict.fromkeys(names)
    }
    return with_boundary_sets(mesh, sets)


def _without_flat(points: Array, triangles: Array) -> Array:
    """Triangles with area, turned to positive orientation."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    twice = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    longest = np.maximum((u**2).sum(axis=1), (v**2).sum(axis=1))
    turned = np.where((twice < 0)[:, None], triangles[:, [0, 2, 1]], triangles)
    return turned[np.abs(twice) > _FLAT * longest]


def _kept_off(free: Array, sampled: SampledBoundary, h: Callable[[Array], Array]) -> Array:
    """The nodes that leave the boundary's edges room for triangles."""
    from scipy.spatial import cKDTree

    ends = sampled.points[sampled.edges]
    distance, _ = cKDTree(np.concatenate([sampled.points, ends.mean(axis=1)])).query(free)
    return free[distance > 0.55 * h(free)]


def _outside_of_circles(free: Array, ends: Array) -> Array:
    """The nodes in no circle that has an edge ``(e, 2, 2)`` as diameter."""
    from scipy.spatial import cKDTree

    radius = 0.5 * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    hit = cKDTree(free).query_ball_point(ends.mean(axis=1), radius) if len(free) else []
    lost = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(h, dtype=np.int64) for h in hit)]))
    return np.delete(free, lost, axis=0)


def _size_function(size: Size) -> Callable[[Array], Array]:
    if not callable(size):
        length = float(size)
        if not (np.isfinite(length) and length > 0):
            raise MeshError(f"size {size}: expected a positive length.")
        return lambda x: np.full(len(x), length)

    def checked(x: Array) -> Array:
        lengths = np.asarray(size(x), dtype=np.float64)
        wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))) if lengths.shape == (len(x),) else [0]
        if len(wrong):
            raise MeshError(
                f"the size function returned {lengths.shape} with {lengths.ravel()[wrong[:1]]} at {x[wrong[0]]}: "
                f"expected positive, finite lengths ({len(x)},)."
            )
        return lengths

    return checked
