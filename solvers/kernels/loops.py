"""The compiled cycles of the CPU backend: Numba, one sample at a time, everything in the cache of one core.

No Numba threading layer is used: the functions release the lock and `cpu` runs them on Python threads, which is safe
after a fork and beside torch's OpenMP.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.packing import Hierarchy, Nesting, Steps, Systems
from solvers.kernels.smoothing_loops import product, residual, smooth
from solvers.kernels.transfer_loops import gather, prolong_add, restrict
from solvers.kernels.vector_loops import dot, verdict

__all__ = [
    "PARTS",
    "conjugate_gradients_batch",
    "correct_batch",
    "full_multigrid_batch",
    "prolong_batch",
    "relax_batch",
    "restrict_batch",
]

#: A digest of the files whose functions are compiled into these: Numba's cache sees changes in this file alone.
PARTS = "e46efddb7fa59a25"

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
reassociating = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")


@compiled
def grid(buffer: Array, start: int, shape: Array) -> Array:
    """A three-dimensional window of a flat buffer."""
    n0, n1, n2 = shape
    return buffer[start : start + n0 * n1 * n2].reshape((n0, n1, n2))


@compiled
def flat(buffer: Array, start: int, shape: Array) -> Array:
    """The same window as one line."""
    return buffer[start : start + shape[0] * shape[1] * shape[2]]


@compiled
def links(buffer: Array, start: int, shape: Array, parts: int) -> Array:
    """The links of the level that begins at cell `start` of a hierarchy stored in one array."""
    n0, n1, n2 = shape
    return buffer[start * parts : (start + n0 * n1 * n2) * parts].reshape((parts, n0, n1, n2))


@compiled
def solve_coarsest(inverse: Array, b: Array, u: Array) -> None:
    """u ← A⁻¹ b by the dense inverse."""
    flat_b, flat_u = b.reshape(-1), u.reshape(-1)
    for i in range(flat_u.size):
        total = inverse[i, 0] * flat_b[0]
        for j in range(1, flat_b.size):
            total += inverse[i, j] * flat_b[j]
        flat_u[i] = total


@compiled
def v_cycle(first: int, h: Hierarchy, m: int, b: Array, u: Array, r: Array, work: Array) -> None:
    """One V-cycle from zero on level `first` of hierarchy m, for the right-hand side that b holds there."""
    data, inverse, shapes, starts = h.data[m], h.inverse[m], h.shapes, h.starts
    coarsest = len(starts) - 1
    for level in range(first, coarsest):
        here, below = starts[level], starts[level + 1]
        a, rl = links(data, here, shapes[level], h.parts), grid(r, here, shapes[level])
        bl, ul = grid(b, here, shapes[level]), grid(u, here, shapes[level])
        ul[:] = 0
        smooth(a, bl, ul, h.pre, h.omega, False, rl)
        residual(a, bl, ul, rl)
        restrict(
            h.steps, m, h.first[level], h.first[level + 1], rl.reshape(-1), flat(b, below, shapes[level + 1]), work
        )
    last, shape = starts[coarsest], shapes[coarsest]
    solve_coarsest(inverse, grid(b, last, shape), grid(u, last, shape))
    for level in range(coarsest - 1, first - 1, -1):
        here, below = starts[level], starts[level + 1]
        a, rl = links(data, here, shapes[level], h.parts), grid(r, here, shapes[level])
        bl, ul = grid(b, here, shapes[level]), grid(u, here, shapes[level])
        e = flat(u, below, shapes[level + 1])
        prolong_add(h.steps, m, h.first[level], h.first[level + 1], e, ul.reshape(-1), work)
        smooth(a, bl, ul, h.post, h.omega, True, rl)


@compiled
def buffers(h: Hierarchy) -> tuple[Array, Array, Array, Array]:
    """Flat buffers over all levels for right-hand sides, corrections and residuals, and one for transfers."""
    total, dtype = h.starts[-1] + h.inverse.shape[1], h.data.dtype
    return np.empty(total, dtype), np.empty(total, dtype), np.empty(total, dtype), np.empty(2 * h.half, dtype)


@compiled
def correct_batch(begin: int, end: int, h: Hierarchy, rhs: Array, out: Array) -> None:
    """out = M rhs."""
    size = rhs.shape[1]
    b, u, r, work = buffers(h)
    for s in range(begin, end):
        b[:size] = rhs[s]
        v_cycle(0, h, s % h.data.shape[0], b, u, r, work)
        out[s] = u[:size]


@compiled
def full_multigrid_batch(begin: int, end: int, h: Hierarchy, t: Nesting, cycles: int, rhs: Array, out: Array) -> None:
    """Nested iteration from the coarsest grid."""
    size, starts, shapes = rhs.shape[1], h.starts, h.shapes
    coarsest = len(starts) - 1
    last, shape = starts[coarsest], shapes[coarsest]
    given, x, _, _ = buffers(h)
    b, u, r, work = buffers(h)
    for s in range(begin, end):
        m = s % h.data.shape[0]
        given[:size] = rhs[s]
        for level in range(coarsest):
            fine, coarse = flat(given, starts[level], shapes[level]), flat(given, starts[level + 1], shapes[level + 1])
            tables = t.source_index[level], t.source_weight[level]
            gather(*tables, (0, 1, 2), fine, shapes[level], coarse, shapes[level + 1], work)
        solve_coarsest(h.inverse[m], grid(given, last, shape), grid(x, last, shape))
        for level in range(coarsest - 1, -1, -1):
            below, xl = flat(x, starts[level + 1], shapes[level + 1]), grid(x, starts[level], shapes[level])
            tables = t.cubic_index[level], t.cubic_weight[level]
            gather(*tables, (2, 1, 0), below, shapes[level + 1], xl.reshape(-1), shapes[level], work)
            a, bl = links(h.data[m], starts[level], shapes[level], h.parts), grid(b, starts[level], shapes[level])
            for _ in range(cycles):
                residual(a, grid(given, starts[level], shapes[level]), xl, bl)
                v_cycle(level, h, m, b, u, r, work)
                xl += grid(u, starts[level], shapes[level])
        out[s] = x[:size]


@compiled
def relax_batch(begin: int, end: int, a: Array, b: Array, omega: float, reverse: bool, u: Array) -> None:
    """One sweep of every sample."""
    r = np.empty(u.shape[1:], u.dtype)
    for s in range(begin, end):
        smooth(a[s % a.shape[0]], b[s], u[s], 1, omega, reverse, r)


@compiled
def prolong_batch(begin: int, end: int, steps: Steps, coarse: Array, fine: Array) -> None:
    """fine = P coarse, flat."""
    work = np.empty(2 * fine.shape[1], fine.dtype)
    for s in range(begin, end):
        fine[s] = 0
        prolong_add(steps, s % steps.weights.shape[0], 0, steps.table.shape[0], coarse[s], fine[s], work)


@compiled
def restrict_batch(begin: int, end: int, steps: Steps, fine: Array, coarse: Array) -> None:
    """coarse = Pᵀ fine, flat."""
    work = np.empty(2 * fine.shape[1], fine.dtype)
    for s in range(begin, end):
        restrict(steps, s % steps.weights.shape[0], 0, steps.table.shape[0], fine[s], coarse[s], work)


@compiled
def conjugate_gradients_batch(begin: int, end: int, a: Array, h: Hierarchy, systems: Systems) -> None:
    """`solvers.krylov._Run.descend`, one sample after the other."""
    shape = systems.residual[0].shape
    dtype, size = systems.residual.dtype, systems.residual[0].size
    b, u, cycle, work = buffers(h)
    r, p, q = np.empty(size, dtype), np.empty(size, dtype), np.empty(shape, dtype)
    for s in range(begin, end):
        if systems.limit[s] == 0:
            continue
        x, steps, rz_old = systems.x[s].reshape(-1), 0, 1.0
        r[:] = systems.residual[s].reshape(-1)
        p[:] = 0
        while True:
            b[:size] = r
            v_cycle(0, h, s % h.data.shape[0], b, u, cycle, work)
            rz = dot(r, u[:size])
            turn(u, rz / rz_old, p)
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


@compiled
def turn(z: Array, beta: float, p: Array) -> None:
    """p = z + beta p."""
    beta = p.dtype.type(beta)
    for k in range(p.size):
        p[k] = z[k] + beta * p[k]


@reassociating
def step(length: float, p: Array, q: Array, x: Array, r: Array) -> float:
    """x += length p, r −= length q; returns the norm of r."""
    length = p.dtype.type(length)
    total = 0.0
    for k in range(p.size):
        x[k] += length * p[k]
        r[k] -= length * q[k]
        total += r[k] * r[k]
    return np.sqrt(total)
