"""Compiled products with stencils, and conjugate gradients on them: Numba, one line of the grid at a time.

As in `solvers.kernels.loops` the functions release the lock. Indices into flat arrays are unsigned: none is tested for
being negative, which is what lets the compiler vectorise.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.packing import PackedTaps, Systems
from solvers.kernels.vector_loops import dot, step, turn, verdict

__all__ = ["CHUNK", "PARTS", "conjugate_gradients_batch", "product_batch"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")

#: A digest of the file whose functions are compiled into these: Numba's cache sees changes in this file alone.
PARTS = "641333ee2aea9466"

#: Points that are computed at once: they, and what they are made of, fit into the first-level cache.
CHUNK = 2048


@compiled
def product_batch(begin: int, end: int, taps: PackedTaps, data: Array, x: Array, out: Array) -> None:
    """out = A x for the blocks begin … end of all samples, in the order of `blocks`."""
    n0 = x.shape[1]
    per_plane = blocks(x.shape[2], x.shape[3])
    for piece in range(begin, end):
        plane = piece // per_plane
        s = plane // n0
        block_product(taps, data[s % data.shape[0]], x[s], plane - s * n0, piece - plane * per_plane, out[s])


@compiled
def blocks(n1: int, n2: int) -> int:
    """How many blocks a plane has: whole lines together, or parts of one line."""
    lines = max(1, CHUNK // n2)
    return -(-n1 // lines) * -(-n2 // CHUNK)


@compiled
def block_product(taps: PackedTaps, c: Array, x: Array, i: int, block: int, out: Array) -> None:
    """out = A x in one block of plane i; every value is written to memory once."""
    n0, n1, n2 = x.shape
    flat_c, flat_x, flat_out = c.reshape(-1), x.reshape(-1), out.reshape(-1)
    lines, parts = max(1, CHUNK // n2), -(-n2 // CHUNK)
    begin, first = (block // parts) * lines, (block % parts) * CHUNK
    end, last = min(begin + lines, n1), min(first + CHUNK, n2)
    for j in range(begin, end):
        here = (i * n1 + j) * n2
        for k in range(np.uint64(here + first), np.uint64(here + last)):
            flat_out[k] = 0
    for q in range(taps.part.size):
        i_there, step, moved = i + taps.shift[q, 0], taps.shift[q, 2], taps.moved[q]
        if i_there < 0 or i_there >= n0:
            if not taps.periodic[0]:
                continue
            i_there %= n0
        # A periodic line is covered by two windows: the step itself, and the step around the line.
        for window in range(2 if taps.periodic[2] else 1):
            shift = step % n2 - window * n2 if taps.periodic[2] else step
            low, high = max(first, -shift), min(last, n2 - shift)
            if low >= high:
                continue
            j = begin
            while j < end:
                j_there, run = j + taps.shift[q, 1], 1
                if j_there < 0 or j_there >= n1:
                    if not taps.periodic[1]:
                        j += 1
                        continue
                    j_there %= n1
                elif high - low == n2:  # whole lines follow each other without a gap
                    run = min(end, n1 - taps.shift[q, 1]) - j
                here, there = (i * n1 + j) * n2 + low, (i_there * n1 + j_there) * n2 + low + shift
                own = taps.part[q] * x.size + (there if moved else here)
                add(taps.sign[q], flat_c, own, flat_x, there, run * (high - low), flat_out, here)
                j += run


@compiled
def add(sign: float, c: Array, own: int, x: Array, there: int, count: int, out: Array, here: int) -> None:
    """out[here + k] += sign · c[own + k] · x[there + k]."""
    sign = out.dtype.type(sign)
    c_start, x_start, start = np.uint64(own), np.uint64(there), np.uint64(here)
    for k in range(np.uint64(count)):
        out[start + k] += sign * c[c_start + k] * x[x_start + k]


@compiled
def conjugate_gradients_batch(
    begin: int, end: int, taps: PackedTaps, data: Array, scaling: Array, systems: Systems
) -> None:
    """Steps of `solvers.CG` with z = scaling · r, one system after the other; scalings are ``(k, n)`` or ``(k, 1)``."""
    shape = systems.residual[0].shape
    size, dtype = systems.residual[0].size, systems.residual.dtype
    p, q = np.empty(size, dtype), np.empty(size, dtype)
    for s in range(begin, end):
        if systems.limit[s] == 0:
            continue
        d, c = scaling[s % scaling.shape[0]], data[s % data.shape[0]]
        x, r, steps = systems.x[s].reshape(-1), systems.residual[s].copy().reshape(-1), 0
        p[:], q[:] = 0, 0
        rz, rr = step(0.0, p, q, d, x, r)
        beta = 0.0
        while True:
            turn(d, r, beta, p)
            curvature = product(taps, c, p.reshape(shape), q.reshape(shape))
            systems.status[s] = verdict(rz, curvature)
            if systems.status[s] >= 0:
                break
            new_rz, rr = step(rz / curvature, p, q, d, x, r)
            steps, beta, rz = steps + 1, new_rz / rz, new_rz
            if not np.sqrt(rr) > systems.goal[s] or steps == systems.limit[s]:
                break
        systems.steps[s] = steps


@compiled
def product(taps: PackedTaps, c: Array, p: Array, q: Array) -> float:
    """q = A p; returns ⟨p, q⟩."""
    n0, n1, n2 = p.shape
    total = 0.0
    for i in range(n0):
        for block in range(blocks(n1, n2)):
            block_product(taps, c, p, i, block, q)
        total += dot(p[i].reshape(-1), q[i].reshape(-1))
    return total
