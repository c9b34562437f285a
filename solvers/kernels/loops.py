"""The compiled loops of the CPU backend: Numba, one sample at a time, everything in the cache of one core.

Grids have three axes (leading ones of length 1 for 1-D and 2-D); `a` is the ``(d + 2, n0, n1, n2)`` data of one
sample's `Links`. No Numba threading layer is used: the functions release the lock and `cpu` runs them on Python
threads, which is safe after a fork and beside torch's OpenMP. They stay in one file because Numba's cache does not
notice changes in another.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.packing import Hierarchy, Nesting, Systems

__all__ = [
    "apply_batch",
    "conjugate_gradients_batch",
    "correct_batch",
    "full_multigrid_batch",
    "prolong_batch",
    "relax_batch",
    "restrict_batch",
]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
reassociating = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")


@compiled
def neighbour_sum(a: Array, u: Array, i: int, j: int, out: Array) -> None:
    """out[k] = Σ over neighbours of (i, j, k) of link · value."""
    n0, n1, n2 = u.shape
    c, v, last = a.shape[0] - 3, a.shape[0] - 4, n2 - 1
    out[0] = a[c, i, j, 0] * u[i, j, 1 % n2] + a[c, i, j, last] * u[i, j, last]
    if last > 0:
        out[last] = a[c, i, j, last] * u[i, j, 0] + a[c, i, j, last - 1] * u[i, j, last - 1]
    for k in range(last - 1):
        out[k + 1] = a[c, i, j, k + 1] * u[i, j, k + 2] + a[c, i, j, k] * u[i, j, k]
    if n1 > 1:
        before, after = (j - 1) % n1, (j + 1) % n1
        for k in range(n2):
            out[k] += a[v, i, j, k] * u[i, after, k] + a[v, i, before, k] * u[i, before, k]
    if n0 > 1:
        before, after = (i - 1) % n0, (i + 1) % n0
        for k in range(n2):
            out[k] += a[0, i, j, k] * u[after, j, k] + a[0, before, j, k] * u[before, j, k]


@compiled
def residual(a: Array, b: Array, u: Array, out: Array) -> None:
    """out ← b − A u."""
    n0, n1, n2 = u.shape
    d = a.shape[0] - 2
    for i in range(n0):
        for j in range(n1):
            line = out[i, j]
            neighbour_sum(a, u, i, j, line)
            for k in range(n2):
                line[k] += b[i, j, k] - a[d, i, j, k] * u[i, j, k]


@compiled
def red_black(a: Array, b: Array, u: Array, reverse: bool, line: Array) -> None:
    """Both colours in one pass over the data: the second colour follows one step behind the first.

    A step is a plane, or a line if there is one plane. Step 0 comes last, because a periodic axis joins it to the last.
    """
    n0, n1, _ = u.shape
    steps = n0 if n0 > 1 else n1
    for step in range(steps):
        half_sweep(a, b, u, step, int(reverse), line)
        if step > 1:
            half_sweep(a, b, u, step - 1, 1 - reverse, line)
    if steps > 1:
        half_sweep(a, b, u, steps - 1, 1 - reverse, line)
    half_sweep(a, b, u, 0, 1 - reverse, line)


@compiled
def half_sweep(a: Array, b: Array, u: Array, step: int, colour: int, line: Array) -> None:
    """Relax one colour of one step; whole lines are computed, vectorised, and every second value kept."""
    n0, n1, n2 = u.shape
    inverse = a.shape[0] - 1
    first, end = (0, n1) if n0 > 1 else (step, step + 1)
    i = step if n0 > 1 else 0
    for j in range(first, end):
        neighbour_sum(a, u, i, j, line)
        for k in range(n2):
            line[k] = (line[k] + b[i, j, k]) * a[inverse, i, j, k]
        for k in range((i + j + colour) % 2, n2, 2):
            u[i, j, k] = line[k]


@compiled
def jacobi(a: Array, b: Array, u: Array, omega: float, r: Array) -> None:
    """One sweep u ← u + ω D⁻¹ (b − A u); r is scratch."""
    n0, n1, n2 = u.shape
    inverse = a.shape[0] - 1
    residual(a, b, u, r)
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                u[i, j, k] += omega * a[inverse, i, j, k] * r[i, j, k]


@compiled
def smooth(a: Array, b: Array, u: Array, sweeps: int, omega: float, reverse: bool, r: Array) -> None:
    """`sweeps` sweeps of red-black Gauss-Seidel (omega = 0) or damped Jacobi."""
    for _ in range(sweeps):
        if omega == 0:
            red_black(a, b, u, reverse, r.reshape(-1))
        else:
            jacobi(a, b, u, a.dtype.type(omega), r)


@compiled
def prolong_add(e: Array, u: Array, index: Array, weight: Array, width: int, line: Array) -> None:
    """u += P e with per-axis tables ``(3, n, width)``: whole coarse lines first, then along the line."""
    n0, n1, _ = u.shape
    line = line[: e.shape[2]]
    for i in range(n0):
        for j in range(n1):
            combine(e, index[0, i], weight[0, i], index[1, j], weight[1, j], width, line)
            gather(line, index[2], weight[2], width, u[i, j])


@compiled
def restrict(r: Array, out: Array, index: Array, weight: Array, line: Array) -> None:
    """out = Pᵀ r with per-axis tables ``(3, n, 4)`` of the transposed interpolation."""
    m0, m1, _ = out.shape
    line = line[: r.shape[2]]
    out[:] = 0
    for i in range(m0):
        for j in range(m1):
            combine(r, index[0, i], weight[0, i], index[1, j], weight[1, j], 4, line)
            gather(line, index[2], weight[2], 4, out[i, j])


@compiled
def combine(
    f: Array, rows: Array, row_weight: Array, columns: Array, column_weight: Array, width: int, line: Array
) -> None:
    """line = Σ of the lines f[rows, columns] with the products of their weights."""
    for k in range(line.size):
        line[k] = 0
    for s in range(width):
        for t in range(width):
            w = row_weight[s] * column_weight[t]
            if w != 0:
                source = f[rows[s], columns[t]]
                for k in range(line.size):
                    line[k] += w * source[k]


@compiled
def gather(line: Array, index: Array, weight: Array, width: int, out: Array) -> None:
    """out[k] += Σ_w weight[k, w] · line[index[k, w]]; the index is unsigned: no test for negative ones."""
    if width == 2:
        for k in range(out.size):
            out[k] += weight[k, 0] * line[index[k, 0]] + weight[k, 1] * line[index[k, 1]]
    else:
        for k in range(out.size):
            out[k] += (
                weight[k, 0] * line[index[k, 0]]
                + weight[k, 1] * line[index[k, 1]]
                + weight[k, 2] * line[index[k, 2]]
                + weight[k, 3] * line[index[k, 3]]
            )


@compiled
def grid(flat: Array, start: int, shape: Array) -> Array:
    """A three-dimensional window of a flat buffer."""
    n0, n1, n2 = shape
    return flat[start : start + n0 * n1 * n2].reshape((n0, n1, n2))


@compiled
def links(flat: Array, start: int, shape: Array, parts: int) -> Array:
    """The links of the level that begins at cell `start` of a hierarchy stored in one array."""
    n0, n1, n2 = shape
    return flat[start * parts : (start + n0 * n1 * n2) * parts].reshape((parts, n0, n1, n2))


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
def v_cycle(first: int, h: Hierarchy, m: int, b: Array, u: Array, r: Array) -> None:
    """One V-cycle from zero on level `first` of hierarchy m, for the right-hand side that b holds there."""
    data, inverse, shapes, starts = h.data[m], h.inverse[m], h.shapes, h.starts
    coarsest, line = len(starts) - 1, r[r.size - h.shapes[0, 2] :]
    for level in range(first, coarsest):
        a, rl = links(data, starts[level], shapes[level], h.parts), grid(r, starts[level], shapes[level])
        bl, ul = grid(b, starts[level], shapes[level]), grid(u, starts[level], shapes[level])
        ul[:] = 0
        smooth(a, bl, ul, h.pre, h.omega, False, rl)
        residual(a, bl, ul, rl)
        below = grid(b, starts[level + 1], shapes[level + 1])
        restrict(rl, below, h.down_index[level], h.down_weight[level], line)
    last, shape = starts[coarsest], shapes[coarsest]
    solve_coarsest(inverse, grid(b, last, shape), grid(u, last, shape))
    for level in range(coarsest - 1, first - 1, -1):
        a, rl = links(data, starts[level], shapes[level], h.parts), grid(r, starts[level], shapes[level])
        bl, ul = grid(b, starts[level], shapes[level]), grid(u, starts[level], shapes[level])
        below = grid(u, starts[level + 1], shapes[level + 1])
        prolong_add(below, ul, h.up_index[level], h.up_weight[level], 2, line)
        smooth(a, bl, ul, h.post, h.omega, True, rl)


@compiled
def buffers(h: Hierarchy) -> tuple[Array, Array, Array]:
    """Flat buffers over all levels for right-hand sides, corrections, and residuals with one line to spare."""
    total = h.starts[-1] + h.inverse.shape[1]
    return np.empty(total, h.data.dtype), np.empty(total, h.data.dtype), np.empty(total + h.shapes[0, 2], h.data.dtype)


@compiled
def correct_batch(begin: int, end: int, h: Hierarchy, rhs: Array, out: Array) -> None:
    """out = M rhs."""
    size = rhs.shape[1]
    b, u, r = buffers(h)
    for s in range(begin, end):
        b[:size] = rhs[s]
        v_cycle(0, h, s % h.data.shape[0], b, u, r)
        out[s] = u[:size]


@compiled
def full_multigrid_batch(begin: int, end: int, h: Hierarchy, t: Nesting, cycles: int, rhs: Array, out: Array) -> None:
    """Nested iteration from the coarsest grid."""
    size, starts, shapes = rhs.shape[1], h.starts, h.shapes
    coarsest = len(starts) - 1
    last, shape = starts[coarsest], shapes[coarsest]
    given, x, _ = buffers(h)
    b, u, r = buffers(h)
    for s in range(begin, end):
        m = s % h.data.shape[0]
        given[:size] = rhs[s]
        for level in range(coarsest):
            fine, coarse = grid(given, starts[level], shapes[level]), grid(given, starts[level + 1], shapes[level + 1])
            restrict(fine, coarse, t.source_index[level], t.source_weight[level], r)
        solve_coarsest(h.inverse[m], grid(given, last, shape), grid(x, last, shape))
        for level in range(coarsest - 1, -1, -1):
            xl, below = grid(x, starts[level], shapes[level]), grid(x, starts[level + 1], shapes[level + 1])
            xl[:] = 0
            prolong_add(below, xl, t.cubic_index[level], t.cubic_weight[level], 4, r)
            a, bl = links(h.data[m], starts[level], shapes[level], h.parts), grid(b, starts[level], shapes[level])
            for _ in range(cycles):
                residual(a, grid(given, starts[level], shapes[level]), xl, bl)
                v_cycle(level, h, m, b, u, r)
                xl += grid(u, starts[level], shapes[level])
        out[s] = x[:size]


@compiled
def apply_batch(begin: int, end: int, a: Array, u: Array, out: Array) -> None:
    """out = A u."""
    for s in range(begin, end):
        product(a[s % a.shape[0]], u[s], out[s])


@compiled
def product(a: Array, u: Array, out: Array) -> None:
    """out = A u."""
    n0, n1, n2 = u.shape
    d = a.shape[0] - 2
    for i in range(n0):
        for j in range(n1):
            line = out[i, j]
            neighbour_sum(a, u, i, j, line)
            for k in range(n2):
                line[k] = a[d, i, j, k] * u[i, j, k] - line[k]


@compiled
def relax_batch(begin: int, end: int, a: Array, b: Array, omega: float, reverse: bool, u: Array) -> None:
    """One sweep of every sample."""
    r = np.empty(u.shape[1:], u.dtype)
    for s in range(begin, end):
        smooth(a[s % a.shape[0]], b[s], u[s], 1, omega, reverse, r)


@compiled
def prolong_batch(begin: int, end: int, index: Array, weight: Array, coarse: Array, fine: Array) -> None:
    """fine += P coarse."""
    line = np.empty(coarse.shape[3], coarse.dtype)
    for s in range(begin, end):
        prolong_add(coarse[s], fine[s], index, weight, 2, line)


@compiled
def restrict_batch(begin: int, end: int, index: Array, weight: Array, fine: Array, coarse: Array) -> None:
    """coarse = Pᵀ fine."""
    line = np.empty(fine.shape[3], fine.dtype)
    for s in range(begin, end):
        restrict(fine[s], coarse[s], index, weight, line)


@compiled
def conjugate_gradients_batch(begin: int, end: int, a: Array, h: Hierarchy, systems: Systems) -> None:
    """`solvers.krylov._Run.descend`, one sample after the other."""
    shape = systems.residual[0].shape
    dtype, size = systems.residual.dtype, systems.residual[0].size
    b, u, work = buffers(h)
    r, p, q = np.empty(size, dtype), np.empty(size, dtype), np.empty(shape, dtype)
    for s in range(begin, end):
        if systems.limit[s] == 0:
            continue
        x, steps, rz_old = systems.x[s].reshape(-1), 0, 1.0
        r[:] = systems.residual[s].reshape(-1)
        p[:] = 0
        while True:
            b[:size] = r
            v_cycle(0, h, s % h.data.shape[0], b, u, work)
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
def verdict(rz: float, curvature: float) -> int:
    """Codes of `solvers.status.Status`; −1 to go on."""
    if not (np.isfinite(rz) and np.isfinite(curvature)):
        return 6
    if rz <= 0:
        return 8
    return 3 if curvature <= 0 else -1


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


@reassociating
def dot(u: Array, v: Array) -> float:
    """⟨u, v⟩ of flat arrays."""
    total = 0.0
    for k in range(u.size):
        total += u[k] * v[k]
    return total
