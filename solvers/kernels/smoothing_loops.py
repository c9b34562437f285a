"""Compiled residuals and smoothing sweeps of one sample: Numba, one line of the grid at a time.

Grids have three axes (leading ones of length 1 for 1-D and 2-D); `a` is the ``(d + 2, n0, n1, n2)`` data of one
sample's `Links`.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["product", "residual", "smooth"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


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
