"""Compiled multilinear interpolation: one pass over the points instead of one over the corners."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["bounds_2d", "bounds_3d", "interpolate_2d", "interpolate_3d"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def interpolate_2d(begin: int, end: int, field: Array, x: Array, y: Array, out: Array) -> None:
    """Points begin … end (numbered over the batch) of ``field (batch, nx, ny)``; the rest is ``(batch, points)``."""
    count = x.shape[1]
    for number in range(begin, end):
        b, p = number // count, number % count
        i, s = place(x[b, p], field.shape[1])
        j, t = place(y[b, p], field.shape[2])
        low = between(field[b, i, j], field[b, i, j + 1], t)
        high = between(field[b, i + 1, j], field[b, i + 1, j + 1], t)
        out[b, p] = between(low, high, s)


@compiled
def interpolate_3d(begin: int, end: int, field: Array, x: Array, y: Array, z: Array, out: Array) -> None:
    """As `interpolate_2d`, of ``field (batch, nx, ny, nz)``."""
    count = x.shape[1]
    for number in range(begin, end):
        b, p = number // count, number % count
        i, s = place(x[b, p], field.shape[1])
        j, t = place(y[b, p], field.shape[2])
        k, u = place(z[b, p], field.shape[3])
        a = between(field[b, i, j, k], field[b, i, j, k + 1], u)
        c = between(field[b, i, j + 1, k], field[b, i, j + 1, k + 1], u)
        d = between(field[b, i + 1, j, k], field[b, i + 1, j, k + 1], u)
        e = between(field[b, i + 1, j + 1, k], field[b, i + 1, j + 1, k + 1], u)
        out[b, p] = between(between(a, c, t), between(d, e, t), s)


@compiled
def bounds_2d(begin: int, end: int, field: Array, x: Array, y: Array, low: Array, high: Array) -> None:
    """The smallest and the largest of the four corners, for the points of `interpolate_2d`."""
    count = x.shape[1]
    for number in range(begin, end):
        b, p = number // count, number % count
        i, _ = place(x[b, p], field.shape[1])
        j, _ = place(y[b, p], field.shape[2])
        least = most = field[b, i, j]
        for di in range(2):
            for dj in range(2):
                value = field[b, i + di, j + dj]
                least, most = min(least, value), max(most, value)
        low[b, p], high[b, p] = least, most


@compiled
def bounds_3d(begin: int, end: int, field: Array, x: Array, y: Array, z: Array, low: Array, high: Array) -> None:
    """The smallest and the largest of the eight corners, for the points of `interpolate_3d`."""
    count = x.shape[1]
    for number in range(begin, end):
        b, p = number // count, number % count
        i, _ = place(x[b, p], field.shape[1])
        j, _ = place(y[b, p], field.shape[2])
        k, _ = place(z[b, p], field.shape[3])
        least = most = field[b, i, j, k]
        for di in range(2):
            for dj in range(2):
                for dk in range(2):
                    value = field[b, i + di, j + dj, k + dk]
                    least, most = min(least, value), max(most, value)
        low[b, p], high[b, p] = least, most


@compiled
def place(x: float, n: int) -> Any:
    """The corner below a coordinate that is clamped to [0, n − 1], and the weight of the one above."""
    # NaN compares false: it ends in the first cell with a weight of NaN, inside of the array.
    inside = x if x > 0 else x * 0
    inside = inside if inside < n - 1 else x * 0 + (n - 1)
    low = min(int(inside), n - 2) if inside >= 0 else 0
    return low, inside - low


@compiled
def between(a: float, b: float, weight: float) -> float:
    """A + w (b − a), computed from the nearer end: mirror images give mirror images, and nothing leaves [a, b]."""
    return a + weight * (b - a) if weight < 0.5 else b - (b - a) * (1 - weight)
