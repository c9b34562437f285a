"""Compiled grid transfers of one sample: Numba, one axis after the other, whole lines at a time."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from solvers.kernels.packing import Steps

__all__ = ["gather", "prolong_add", "restrict"]

Array = np.ndarray[Any, Any]
Axes = tuple[int, int, int]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


@compiled
def restrict(h: Steps, m: int, first: int, last: int, fine: Array, coarse: Array, work: Array) -> None:
    """coarse = Pᵀ fine by the steps first … last, all fields flat; `work` holds two fields in between."""
    source, half = fine, work.size // 2
    for s in range(first, last):
        start, n, count, before, behind, vertex, periodic = h.table[s]
        weight = h.weights[m, start : start + before * n * behind]
        place = half * ((s - first) % 2)
        target = coarse if s == last - 1 else work[place : place + before * count * behind]
        if behind == 1:
            rows = weight.reshape((before, n)), source.reshape((before, n)), target.reshape((before, count))
            restrict_points(*rows, vertex != 0, periodic != 0)
        else:
            lines = weight.reshape((before, n, behind)), source.reshape((before, n, behind))
            restrict_lines(*lines, target.reshape((before, count, behind)), vertex != 0, periodic != 0)
        source = target


@compiled
def prolong_add(h: Steps, m: int, first: int, last: int, coarse: Array, fine: Array, work: Array) -> None:
    """fine += P coarse by the steps last … first."""
    source, half = coarse, work.size // 2
    for s in range(last - 1, first - 1, -1):
        start, n, count, before, behind, vertex, periodic = h.table[s]
        weight = h.weights[m, start : start + before * n * behind]
        place = half * ((s - first) % 2)
        target = fine
        if s > first:
            target = work[place : place + before * n * behind]
            target[:] = 0
        if behind == 1:
            rows = weight.reshape((before, n)), source.reshape((before, count)), target.reshape((before, n))
            prolong_points(*rows, vertex != 0, periodic != 0)
        else:
            lines = weight.reshape((before, n, behind)), source.reshape((before, count, behind))
            prolong_lines(*lines, target.reshape((before, n, behind)), vertex != 0, periodic != 0)
        source = target


@compiled
def restrict_lines(w: Array, fine: Array, coarse: Array, vertex: bool, periodic: bool) -> None:
    """Along the middle axis: each coarse line from the (at most 4) fine ones whose parent or other it is."""
    before, n, behind = fine.shape
    for o in range(before):
        for c in range(coarse.shape[1]):
            line = coarse[o, c]
            line[:] = 0
            for near in range(1 if vertex else 0, 4):
                i = 2 * c - 1 + near
                if periodic:
                    i %= n
                if i < 0 or i >= n:
                    continue
                f, own = fine[o, i], w[o, i]
                if near == (1 if vertex else 0) or (near == 3 and not vertex):
                    for k in range(behind):
                        line[k] += own[k] * f[k]
                else:
                    for k in range(behind):
                        line[k] += f[k] - own[k] * f[k]


@compiled
def prolong_lines(w: Array, coarse: Array, fine: Array, vertex: bool, periodic: bool) -> None:
    """Along the middle axis: fine += (1 − w) parent + w other, line by line."""
    before, n, behind = fine.shape
    m = coarse.shape[1]
    for o in range(before):
        for i in range(n):
            line, own = fine[o, i], w[o, i]
            parent = (i - 1) // 2 if vertex else i // 2
            other = i // 2 if vertex else parent + 2 * (i % 2) - 1
            if periodic:
                other %= m
            if parent >= 0:
                e = coarse[o, parent]
                for k in range(behind):
                    line[k] += e[k] - own[k] * e[k]
            if other >= 0 and other < m:
                e = coarse[o, other]
                for k in range(behind):
                    line[k] += own[k] * e[k]


@compiled
def restrict_points(w: Array, fine: Array, coarse: Array, vertex: bool, periodic: bool) -> None:
    """`restrict_lines` for lines of one point: along the last axis."""
    n, m = np.uint64(fine.shape[1]), np.uint64(coarse.shape[1])
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    moved = np.zeros(fine.shape[1] + 3, fine.dtype)  # the part w f, with what lies beyond the ends
    for o in range(fine.shape[0]):
        f, out = fine[o], coarse[o]
        for k in range(n):
            moved[k + one] = w[o, k] * f[k]
        if periodic:
            moved[0], moved[n + one] = moved[n], moved[1]
        if vertex:
            for c in range((n - one) // two):
                i = two * c
                out[c] = moved[i + one] + f[i + one] + (f[i + two] - moved[i + three])
            if n % two == 0:
                out[m - one] = moved[n - one] + f[n - one]
        else:
            for c in range(n // two):
                i = two * c
                out[c] = moved[i] + (f[i] - moved[i + one]) + (f[i + one] - moved[i + two]) + moved[i + three]
            if n % two == 1:
                out[m - one] = moved[n - one] + (f[n - one] - moved[n])


@compiled
def prolong_points(w: Array, coarse: Array, fine: Array, vertex: bool, periodic: bool) -> None:
    """`prolong_lines` for lines of one point: along the last axis."""
    n, m = np.uint64(fine.shape[1]), np.uint64(coarse.shape[1])
    one, two = np.uint64(1), np.uint64(2)
    e = np.zeros(coarse.shape[1] + 2, fine.dtype)  # with what lies beyond the ends
    for o in range(fine.shape[0]):
        f, own = fine[o], w[o]
        for c in range(m):
            e[c + one] = coarse[o, c]
        if periodic:
            e[0], e[m + one] = e[m], e[1]
        if vertex:
            for c in range(n // two):
                i = two * c
                f[i] += e[c] + own[i] * (e[c + one] - e[c])
                f[i + one] += e[c + one]
            if n % two == 1:
                f[n - one] += e[m] + own[n - one] * (e[m + one] - e[m])
        else:
            for c in range(n // two):
                i, parent = two * c, e[c + one]
                f[i] += parent + own[i] * (e[c] - parent)
                f[i + one] += parent + own[i + one] * (e[c + two] - parent)
            if n % two == 1:
                f[n - one] += e[m] + own[n - one] * (e[m - one] - e[m])


@compiled
def gather(
    index: Array, weight: Array, axes: Axes, source: Array, have: Array, target: Array, want: Array, work: Array
) -> None:
    """target = W₀ ⊗ W₁ ⊗ W₂ source with the tables of each axis, from the grid `have` to the grid `want`."""
    shape, half, left = have.copy(), work.size // 2, np.sum(have != want)
    for axis in axes:
        if shape[axis] == want[axis]:
            continue
        before, behind = np.prod(shape[:axis]), np.prod(shape[axis + 1 :])
        n, left = want[axis], left - 1
        out = target if left == 0 else work[half * (left % 2) : half * (left % 2) + before * n * behind]
        if behind == 1:
            gather_points(index[axis], weight[axis], source.reshape((before, shape[axis])), out.reshape((before, n)))
        else:
            fields = source.reshape((before, shape[axis], behind)), out.reshape((before, n, behind))
            gather_lines(index[axis], weight[axis], *fields)
        shape[axis], source = n, out


@compiled
def gather_points(index: Array, weight: Array, source: Array, target: Array) -> None:
    """`gather_lines` for lines of one point: along the last axis."""
    for o in range(target.shape[0]):
        line = source[o]
        for i in range(target.shape[1]):
            near = weight[i, 0] * line[index[i, 0]] + weight[i, 1] * line[index[i, 1]]
            target[o, i] = near + (weight[i, 2] * line[index[i, 2]] + weight[i, 3] * line[index[i, 3]])


@compiled
def gather_lines(index: Array, weight: Array, source: Array, target: Array) -> None:
    """Along the middle axis: target[i] = Σ_s weight[i, s] source[index[i, s]]."""
    for o in range(target.shape[0]):
        for i in range(target.shape[1]):
            line = target[o, i]
            line[:] = 0
            for s in range(4):
                w = weight[i, s]
                if w != 0:
                    from_line = source[o, index[i, s]]
                    for k in range(line.size):
                        line[k] += w * from_line[k]
