"""Compiled products with sparse matrices, and conjugate gradients on them: Numba, one system at a time.

As in `solvers.kernels.loops` the functions release the lock.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.packing import Systems
from solvers.kernels.vector_loops import step, turn, verdict

__all__ = ["PARTS", "conjugate_gradients_batch", "product_batch"]

Array = np.ndarray[Any, Any]

#: A digest of the file whose functions are compiled into these: Numba's cache sees changes in this file alone.
PARTS = "641333ee2aea9466"

#: Rows that a thread takes at once.
ROWS = 4096

compiled = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")


@compiled
def product_batch(begin: int, end: int, crow: Array, col: Array, values: Array, x: Array, out: Array) -> None:
    """out = A x for the pieces begin … end of all rows of all systems; matrices ``(k, nnz)`` repeat over the batch."""
    rows = crow.size - 1
    pieces = max(1, (rows + ROWS - 1) // ROWS)
    for piece in range(begin, end):
        s = piece // pieces
        first = (piece - s * pieces) * ROWS
        a, p, q = values[s % values.shape[0]], x[s], out[s]
        for i in range(first, min(first + ROWS, rows)):
            entry = a.dtype.type(0)
            for k in range(crow[i], crow[i + 1]):
                entry += a[k] * p[col[k]]
            q[i] = entry


@compiled
def conjugate_gradients_batch(
    begin: int, end: int, crow: Array, col: Array, values: Array, scaling: Array, systems: Systems
) -> None:
    """Steps of `solvers.CG` with z = scaling · r; matrices ``(k, nnz)`` and scalings ``(k, n)`` repeat over the batch.

    The pattern is unsigned, so that no index is tested for being negative.
    """
    size, dtype = systems.residual.shape[1], systems.residual.dtype
    p, q = np.empty(size, dtype), np.empty(size, dtype)
    for s in range(begin, end):
        if systems.limit[s] == 0:
            continue
        a, d = values[s % values.shape[0]], scaling[s % scaling.shape[0]]
        x, r, steps = systems.x[s], systems.residual[s].copy(), 0
        p[:] = 0
        rz, rr = 0.0, 0.0
        for k in range(size):
            rz += d[k] * r[k] * r[k]
        beta = 0.0
        while True:
            turn(d, r, beta, p)
            curvature = product(crow, col, a, p, q)
            systems.status[s] = verdict(rz, curvature)
            if systems.status[s] >= 0:
                break
            new_rz, rr = step(rz / curvature, p, q, d, x, r)
            steps, beta, rz = steps + 1, new_rz / rz, new_rz
            if not np.sqrt(rr) > systems.goal[s] or steps == systems.limit[s]:
                break
        systems.steps[s] = steps


@compiled
def product(crow: Array, col: Array, a: Array, p: Array, q: Array) -> float:
    """q = A p; returns ⟨p, q⟩."""
    total = 0.0
    for i in range(p.size):
        entry = a.dtype.type(0)
        for k in range(crow[i], crow[i + 1]):
            entry += a[k] * p[col[k]]
        q[i] = entry
        total += p[i] * entry
    return total
