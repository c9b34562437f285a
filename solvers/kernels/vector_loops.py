"""The passes over vectors that compiled conjugate gradients have in common: Numba."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["dot", "step", "turn", "verdict"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")


@compiled
def turn(d: Array, r: Array, beta: float, p: Array) -> None:
    """p = d r + beta p."""
    beta = p.dtype.type(beta)
    if d.size == 1:
        for k in range(p.size):
            p[k] = d[0] * r[k] + beta * p[k]
    else:
        for k in range(p.size):
            p[k] = d[k] * r[k] + beta * p[k]


@compiled
def step(length: float, p: Array, q: Array, d: Array, x: Array, r: Array) -> tuple[float, float]:
    """x += length p, r −= length q; returns ⟨r, d r⟩ and ⟨r, r⟩."""
    length = p.dtype.type(length)
    rz, rr = 0.0, 0.0
    if d.size == 1:
        for k in range(p.size):
            x[k] += length * p[k]
            r[k] -= length * q[k]
            rr += r[k] * r[k]
        return d[0] * rr, rr
    for k in range(p.size):
        x[k] += length * p[k]
        r[k] -= length * q[k]
        square = r[k] * r[k]
        rz += d[k] * square
        rr += square
    return rz, rr


@compiled
def dot(u: Array, v: Array) -> float:
    """⟨u, v⟩ of flat arrays."""
    total = 0.0
    for k in range(u.size):
        total += u[k] * v[k]
    return total


@compiled
def verdict(rz: float, curvature: float) -> int:
    """Codes of `solvers.status.Status`; −1 to go on."""
    if not (np.isfinite(rz) and np.isfinite(curvature)):
        return 6
    if rz <= 0:
        return 8
    return 3 if curvature <= 0 else -1
