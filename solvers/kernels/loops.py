"""The compiled loops of the CPU backend: Numba, one sample at a time, everything in the cache of one core.

Grids have three axes (leading ones of length 1 for 1-D and 2-D); `a` is the ``(d + 2, n0, n1, n2)`` data of one sample's
`Links`. No Numba threading layer is used: the functions release the lock and `cpu` runs them on Python threads, which is
safe after a fork and beside torch's OpenMP.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["apply_batch", "correct_batch", "full_multigrid_batch", "relax_batch", "transfer_batch"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


@compiled
def neighbour_sum(a: Array, u: Array, i: int, j: int, out: Array) -> None:
    """out[k] = Σ over neighbours of (i, j, k) of link · value."""
    n0, n1, n2 = u.shape
    d = a.shape[0] - 2
    c = a[d - 1, i, j]
    row = u[i, j]
    last = n2 - 1
    out[0] = c[0] * row[1 % n2] + c[last] * row[last]
    for k in range(1, last):
        out[k] = c[k] * row[k + 1] + c[k - 1] * row[k - 1]
    if last > 0:
        out[last] = c[last] * row[0] + c[last - 1] * row[last - 1]
    if n1 > 1:
        before, after = (j - 1) % n1, (j + 1) % n1
        add_pair(a[d - 2, i, j], u[i, after], a[d - 2, i, before], u[i, before], out)
    if n0 > 1:
        before, after = (i - 1) % n0, (i + 1) % n0
        add_pair(a[0, i, j], u[after, j], a[0, before, j], u[before, j], out)


@compiled
def add_pair(up: Array, above: Array, down: Array, below: Array, out: Array) -> None:
    for k in range(out.size):
        out[k] += up[k] * above[k] + down[k] * below[k]


@compiled
def residual(a: Array, b: Array, u: Array, out: Array) -> None:
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
    """The whole line is computed, vectorised, and every second value kept."""
    n0, n1, n2 = u.shape
    inverse = a.shape[0] - 1
    for half in range(2):
        for i in range(n0):
            for j in range(n1):
                neighbour_sum(a, u, i, j, line[:n2])
                for k in range(n2):
                    line[k] = (line[k] + b[i, j, k]) * a[inverse, i, j, k]
                for k in range((i + j + half + reverse) % 2, n2, 2):
                    u[i, j, k] = line[k]


@compiled
def jacobi(a: Array, b: Array, u: Array, omega: float, r: Array) -> None:
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
    """u += P e with per-axis tables ``(3, n, width)``."""
    n0, n1, n2 = u.shape
    m2 = e.shape[2]
    for i in range(n0):
        for j in range(n1):
            for k in range(m2):
                line[k] = 0
            for s in range(width):
                for t in range(width):
                    w = weight[0, i, s] * weight[1, j, t]
                    if w != 0:
                        for k in range(m2):
                            line[k] += w * e[index[0, i, s], index[1, j, t], k]
            for s in range(width):
                for k in range(n2):
                    u[i, j, k] += weight[2, k, s] * line[index[2, k, s]]


@compiled
def restrict(r: Array, out: Array, index: Array, weight: Array, line: Array) -> None:
    """out = Pᵀ r for tables of width 2."""
    n0, n1, n2 = r.shape
    m2 = out.shape[2]
    out[:] = 0
    for i in range(n0):
        for j in range(n1):
            for k in range(m2):
                line[k] = 0
            for k in range(n2):
                line[index[2, k, 0]] += weight[2, k, 0] * r[i, j, k]
                line[index[2, k, 1]] += weight[2, k, 1] * r[i, j, k]
            for s in range(2):
                for t in range(2):
                    w = weight[0, i, s] * weight[1, j, t]
                    if w != 0:
                        for k in range(m2):
                            out[index[0, i, s], index[1, j, t], k] += w * line[k]


@compiled
def grid(flat: Array, start: int, shape: Array) -> Array:
    """A three-dimensional window of a flat buffer."""
    n0, n1, n2 = shape
    return flat[start : start + n0 * n1 * n2].reshape((n0, n1, n2))


@compiled
def links(flat: Array, start: int, shape: Array, parts: int) -> Array:
    n0, n1, n2 = shape
    return flat[start * parts : (start + n0 * n1 * n2) * parts].reshape((parts, n0, n1, n2))


@compiled
def solve_coarsest(inverse: Array, b: Array, u: Array) -> None:
    flat_b, flat_u = b.reshape(-1), u.reshape(-1)
    for i in range(flat_u.size):
        total = inverse[i, 0] * flat_b[0]
        for j in range(1, flat_b.size):
            total += inverse[i, j] * flat_b[j]
        flat_u[i] = total


@compiled
def v_cycle(
    first: int, data: Array, parts: int, inverse: Array, shapes: Array, starts: Array, index: Array, weight: Array,
    pre: int, post: int, omega: float, b: Array, u: Array, r: Array,
) -> None:  # fmt: skip
    """One V-cycle from zero on level `first`; b, u, r are flat buffers over all levels, b is given on `first`."""
    coarsest = len(starts) - 1
    for level in range(first, coarsest):
        a = links(data, starts[level], shapes[level], parts)
        bl, ul = grid(b, starts[level], shapes[level]), grid(u, starts[level], shapes[level])
        rl = grid(r, starts[level], shapes[level])
        ul[:] = 0
        smooth(a, bl, ul, pre, omega, False, rl)
        residual(a, bl, ul, rl)
        below = grid(b, starts[level + 1], shapes[level + 1])
        restrict(rl, below, index[level], weight[level], u[starts[level + 1] :])
    end = starts[coarsest]
    solve_coarsest(inverse, grid(b, end, shapes[coarsest]), grid(u, end, shapes[coarsest]))
    for level in range(coarsest - 1, first - 1, -1):
        a = links(data, starts[level], shapes[level], parts)
        bl, ul = grid(b, starts[level], shapes[level]), grid(u, starts[level], shapes[level])
        rl = grid(r, starts[level], shapes[level])
        below = grid(u, starts[level + 1], shapes[level + 1])
        prolong_add(below, ul, index[level], weight[level], 2, rl.reshape(-1))
        smooth(a, bl, ul, post, omega, True, rl)


@compiled
def correct_batch(
    begin: int, end: int, data: Array, parts: int, inverse: Array, shapes: Array, starts: Array, index: Array, weight: Array,
    pre: int, post: int, omega: float, rhs: Array, out: Array,
) -> None:  # fmt: skip
    size = rhs.shape[1]
    total = starts[-1] + inverse.shape[1]
    b, u, r = np.empty(total, rhs.dtype), np.empty(total, rhs.dtype), np.empty(total, rhs.dtype)
    for s in range(begin, end):
        m = s % data.shape[0]
        b[:size] = rhs[s]
        v_cycle(
            0, data[m], parts, inverse[m], shapes, starts, index, weight, pre, post, omega, b, u, r
        )  # fmt: skip
        out[s] = u[:size]


@compiled
def full_multigrid_batch(
    begin: int, end: int, data: Array, parts: int, inverse: Array, shapes: Array, starts: Array, index: Array, weight: Array,
    cubic_index: Array, cubic_weight: Array, pre: int, post: int, omega: float, cycles: int, rhs: Array, out: Array,
) -> None:  # fmt: skip
    size, coarsest = rhs.shape[1], len(starts) - 1
    total = starts[-1] + inverse.shape[1]
    given, x = np.empty(total, rhs.dtype), np.empty(total, rhs.dtype)
    b, u, r = np.empty(total, rhs.dtype), np.empty(total, rhs.dtype), np.empty(total, rhs.dtype)
    for s in range(begin, end):
        m = s % data.shape[0]
        given[:size] = rhs[s]
        for level in range(coarsest):
            fine, coarse = grid(given, starts[level], shapes[level]), grid(given, starts[level + 1], shapes[level + 1])
            restrict(fine, coarse, index[level], weight[level], r)
        last = starts[coarsest]
        solve_coarsest(inverse[m], grid(given, last, shapes[coarsest]), grid(x, last, shapes[coarsest]))
        for level in range(coarsest - 1, -1, -1):
            xl = grid(x, starts[level], shapes[level])
            xl[:] = 0
            below = grid(x, starts[level + 1], shapes[level + 1])
            prolong_add(below, xl, cubic_index[level], cubic_weight[level], 4, r)
            a, bl = links(data[m], starts[level], shapes[level], parts), grid(b, starts[level], shapes[level])
            for _ in range(cycles):
                residual(a, grid(given, starts[level], shapes[level]), xl, bl)
                v_cycle(
                    level, data[m], parts, inverse[m], shapes, starts, index, weight, pre, post, omega, b, u, r
                )  # fmt: skip
                xl += grid(u, starts[level], shapes[level])
        out[s] = x[:size]


@compiled
def apply_batch(begin: int, end: int, a: Array, u: Array, out: Array) -> None:
    _, n0, n1, n2 = u.shape
    d = a.shape[1] - 2
    for s in range(begin, end):
        m = s % a.shape[0]
        for i in range(n0):
            for j in range(n1):
                line = out[s, i, j]
                neighbour_sum(a[m], u[s], i, j, line)
                for k in range(n2):
                    line[k] = a[m, d, i, j, k] * u[s, i, j, k] - line[k]


@compiled
def relax_batch(begin: int, end: int, a: Array, b: Array, omega: float, reverse: bool, u: Array) -> None:
    r = np.empty(u.shape[1:], u.dtype)
    for s in range(begin, end):
        smooth(a[s % a.shape[0]], b[s], u[s], 1, omega, reverse, r)


@compiled
def transfer_batch(begin: int, end: int, index: Array, weight: Array, coarse: Array, fine: Array, upward: bool) -> None:
    line = np.empty(coarse.shape[3], coarse.dtype)
    for s in range(begin, end):
        if upward:
            prolong_add(coarse[s], fine[s], index, weight, 2, line)
        else:
            restrict(fine[s], coarse[s], index, weight, line)
