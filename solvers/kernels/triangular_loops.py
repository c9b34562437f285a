"""Compiled pivots and substitutions of incomplete factors: Numba, row after row, one system at a time.

As in `solvers.kernels.loops` the functions release the lock.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["pivots_batch", "substitute_batch"]

Array = np.ndarray[Any, Any]

compiled = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")


@compiled
def pivots_batch(
    begin: int,
    end: int,
    crow: Array,
    col: Array,
    diagonal: Array,
    values: Array,
    relaxation: float,
    smallest: float,
    sums: Array,
    out: Array,
) -> None:
    """`solvers.kernels.triangular.found_pivots` for systems begin … end; `sums` is room for Σ_(j>k) aₖⱼ."""
    for s in range(begin, end):
        a, upper, e = values[s], sums[s], out[s]
        for i in range(diagonal.size):
            own = a[diagonal[i]]
            pivot = own
            for place in range(crow[i], diagonal[i]):
                k = col[place]
                pivot -= a[place] * ((1 - relaxation) * a[place] + relaxation * upper[k]) / e[k]
            e[i] = own if pivot < smallest * own else pivot
            total = a.dtype.type(0)
            for place in range(diagonal[i] + 1, crow[i + 1]):
                total += a[place]
            upper[i] = total


@compiled
def substitute_batch(
    begin: int,
    end: int,
    crow: Array,
    col: Array,
    diagonal: Array,
    values: Array,
    over_pivots: Array,
    r: Array,
    out: Array,
) -> None:
    """`solvers.kernels.triangular.substituted` for systems begin … end; matrices repeat over the batch."""
    n = diagonal.size
    for s in range(begin, end):
        a, inverse, b, y = values[s % values.shape[0]], over_pivots[s % values.shape[0]], r[s], out[s]
        for i in range(n):
            entry = b[i]
            for place in range(crow[i], diagonal[i]):
                entry -= a[place] * y[col[place]]
            y[i] = entry * inverse[i]
        for i in range(n - 1, -1, -1):
            entry = a.dtype.type(0)
            for place in range(diagonal[i] + 1, crow[i + 1]):
                entry += a[place] * y[col[place]]
            y[i] -= entry * inverse[i]
