"""Nodes that push each other apart until their distances are the wanted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["edges_of", "relaxed"]

Array = NDArray[Any]

# Bars want to be longer than they can be, so that nodes fill the region (Persson and Strang 2004).
_PRESSURE = 1.2
_STEP = 0.2
# Steps between triangulations, and steps at the end that only even out.
_RENEW = 2
_EVENING = 8


def relaxed(free: Array, fixed: Array, size: Callable[[Array], Array], iterations: int) -> Array:
    """The free nodes ``(m, 2)`` after steps of a truss in which every bar shorter than wanted pushes; fixed ones stay.

    At the end nodes move to the mean of their triangles' centroids, weighted by area, which evens out the shapes.
    """
    from scipy.spatial import Delaunay

    n = len(fixed)
    points = np.concatenate([fixed, free])
    if not len(free):
        return free
    for step in range(iterations):
        if step % _RENEW == 0:
            bars = edges_of(Delaunay(points).simplices)
            bars = bars[bars[:, 1] >= n]
        vector = points[bars[:, 1]] - points[bars[:, 0]]
        length = np.linalg.norm(vector, axis=1)
        wanted = size(points[bars].mean(axis=1))
        wanted = wanted * _PRESSURE * np.sqrt((length**2).sum() / (wanted**2).sum())
        push = (np.maximum(wanted - length, 0.0) / length)[:, None] * vector
        force = _sum_at(bars[:, 1], push, len(points)) - _sum_at(bars[:, 0], push, len(points))
        points[n:] += _STEP * force[n:]
    for _ in range(_EVENING if iterations else 0):
        triangles = Delaunay(points).simplices
        corners = points[triangles]
        u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
        weight = np.repeat(area / size(corners.mean(axis=1)) ** 2, 3)
        target = _sum_at(triangles.ravel(), weight[:, None] * np.repeat(corners.mean(axis=1), 3, axis=0), len(points))
        total = np.bincount(triangles.ravel(), weight, minlength=len(points))
        points[n:] = target[n:] / total[n:, None]
    return points[n:]


def edges_of(triangles: Array) -> Array:
    """The edges ``(e, 2)`` of triangles, once each, the smaller node first."""
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    width = int(pairs.max(initial=0)) + 1
    keys = np.unique(pairs[:, 0].astype(np.int64) * width + pairs[:, 1])
    return np.stack([keys // width, keys % width], axis=1)


def _sum_at(index: Array, vectors: Array, count: int) -> Array:
    return np.stack([np.bincount(index, vectors[:, axis], minlength=count) for axis in (0, 1)], axis=1)
