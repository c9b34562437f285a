"""Compiled cycles over blocks of cells, and conjugate gradients with them: Numba, one sample at a time."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.aggregation_packing import Aggregates
from solvers.kernels.aggregation_sweeps import down, merge, split, up
from solvers.kernels.loops import solve_coarsest, step, turn
from solvers.kernels.packing import Systems
from solvers.kernels.smoothing_loops import product
from solvers.kernels.vector_loops import dot, verdict

__all__ = ["PARTS", "conjugate_gradients_batch", "cycle_batch"]

#: A digest of the files whose functions are compiled into these: Numba's cache sees changes in this file alone.
PARTS = "35c53184fa76ca7e"

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


@compiled
def halves(buffer: Array, start: int, shape: Array) -> Array:
    """A window of a flat buffer, ``(2, planes, cells of a colour)``."""
    planes, lines, half = shape[0], shape[1], shape[3]
    return buffer[start : start + 2 * planes * lines * half].reshape((2, planes, lines * half))


@compiled
def level_of(h: Aggregates, m: int, level: int) -> tuple[Array, Array]:
    """The data of a level ``(parts, planes, cells of a colour)``, and its factors on the fine side."""
    start, shape = h.starts[level], h.shapes[level]
    planes, size = shape[0], shape[1] * shape[3]
    first = start // 2 * h.parts
    a = h.data[m, first : first + planes * size * h.parts].reshape((h.parts, planes, size))
    fine = halves(h.fine[m], start, shape) if h.fine.size else h.fine[:0].reshape((0, 0, 0))
    return a, fine


@compiled
def v_cycle(h: Aggregates, m: int, r: Array, z: Array, b: Array, u: Array, work: Array) -> None:
    """z = M r by one V-cycle from zero of hierarchy m."""
    shapes, starts = h.shapes, h.starts
    coarsest = len(starts) - 1
    planes, lines, width, half = shapes[0]
    plane = lines * width
    rhs, z0 = halves(b, 0, shapes[0]), halves(u, 0, shapes[0])
    for i in range(planes):
        split(r[i * plane : (i + 1) * plane], i, width, half, rhs)
    for level in range(coarsest):
        a, fine = level_of(h, m, level)
        bl, ul = halves(b, starts[level], shapes[level]), halves(u, starts[level], shapes[level])
        below = halves(b, starts[level + 1], shapes[level + 1])
        down(a, bl, ul, shapes[level, 3], fine, below, shapes[level + 1, 3], work)
        below *= halves(h.coarse[m], starts[level + 1], shapes[level + 1])
    solve_coarsest(h.inverse[m], b[starts[coarsest] :], u[starts[coarsest] :])
    for level in range(coarsest - 1, -1, -1):
        a, fine = level_of(h, m, level)
        bl, ul = halves(b, starts[level], shapes[level]), halves(u, starts[level], shapes[level])
        e = halves(u, starts[level + 1], shapes[level + 1])
        e *= halves(h.coarse[m], starts[level + 1], shapes[level + 1])
        up(a, bl, ul, shapes[level, 3], fine, e, shapes[level + 1, 3], work)
    for i in range(planes):
        merge(z0, i, width, half, z[i * plane : (i + 1) * plane])


@compiled
def buffers(h: Aggregates) -> tuple[Array, Array, Array]:
    """Flat buffers over all levels for right-hand sides and corrections, and four planes."""
    dtype, plane = h.inverse.dtype, h.shapes[0, 1] * h.shapes[0, 3]
    total = h.starts[-1] + h.inverse.shape[1]
    return np.empty(total, dtype), np.empty(total, dtype), np.empty((4, plane), dtype)


@compiled
def cycle_batch(begin: int, end: int, h: Aggregates, rhs: Array, out: Array) -> None:
    """out = M rhs."""
    b, u, work = buffers(h)
    for s in range(begin, end):
        v_cycle(h, s % h.inverse.shape[0], rhs[s], out[s], b, u, work)


@compiled
def conjugate_gradients_batch(begin: int, end: int, a: Array, h: Aggregates, systems: Systems) -> None:
    """`solvers.krylov.conjugate_gradients`, one sample after the other."""
    shape = systems.residual[0].shape
    dtype, size = systems.residual.dtype, systems.residual[0].size
    b, u, work = buffers(h)
    r, z, p, q = np.empty(size, dtype), np.empty(size, dtype), np.empty(size, dtype), np.empty(shape, dtype)
    for s in range(begin, end):
        if systems.limit[s] == 0:
            continue
        x, steps, rz_old = systems.x[s].reshape(-1), 0, 1.0
        r[:] = systems.residual[s].reshape(-1)
        p[:] = 0
        while True:
            v_cycle(h, s % h.inverse.shape[0], r, z, b, u, work)
            rz = dot(r, z)
            turn(z, rz / rz_old, p)
            product(a[s % a.shape[0]], p.reshape(shape), q)
            curvature = dot(p, q.reshape(-1))
            systems.status[s] = verdict(rz, curvature)
            if systems.status[s] >= 0:
                break
            residual_norm = step(rz / curvature, p, q.reshape(-1), x, r)
            steps, rz_old = steps + 1, rz
            if residual_norm <= systems.goal[s] or steps == systems.limit[s]:
                break
        systems.steps[s] = steps
