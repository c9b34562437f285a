"""Compiled passes over the planes of one level of a cycle over blocks of cells, one down and one up: Numba.

Grids have three axes, (n, 1, m) for two and (1, 1, n) for one. The red and the black cells of a line lie apart, so that
a sweep over one colour, and the sum over blocks, runs over neighbouring numbers. `aggregation_packing` says how `a`,
the data of a level ``(parts, planes, cells of a colour)``, is laid out.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["down", "merge", "split", "up"]

Array = np.ndarray[Any, Any]
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")


@compiled
def split(plane: Array, i: int, width: int, half: int, out: Array) -> None:
    """Cell k of a line goes to place k // 2 of its colour; red are even sums of indices."""
    for j in range(plane.size // width):
        even, odd = out[(i + j) % 2, i], out[1 - (i + j) % 2, i]
        line, start = plane[j * width : (j + 1) * width], j * half
        for k in range(width // 2):
            even[start + k] = line[2 * k]
            odd[start + k] = line[2 * k + 1]
        if width % 2:
            even[start + half - 1] = line[width - 1]
            odd[start + half - 1] = 0


@compiled
def merge(u: Array, i: int, width: int, half: int, plane: Array) -> None:
    """The inverse of `split`."""
    for j in range(plane.size // width):
        even, odd = u[(i + j) % 2, i], u[1 - (i + j) % 2, i]
        line, start = plane[j * width : (j + 1) * width], j * half
        for k in range(width // 2):
            line[2 * k] = even[start + k]
            line[2 * k + 1] = odd[start + k]
        if width % 2:
            line[width - 1] = even[start + half - 1]


@compiled
def neighbours(a: Array, u: Array, colour: int, i: int, half: int, out: Array) -> None:
    """out = Σ over neighbours of link · value for one colour of plane i; all neighbours have the other colour.

    One is at the same place of the same line, another at the place before or after it, and those along the first two
    axes at the same place of their lines. Links that end a line or an axis are zero, so that loops run over planes.
    """
    other, planes, size = 1 - colour, u.shape[1], u.shape[2]
    row, beside = u[other, i], a[-7, i]
    up, after = a[colour, i], u[other, min(i + 1, planes - 1)]
    if planes == 1:
        for k in range(size):
            out[k] = beside[k] * row[k]
    elif i == 0:
        for k in range(size):
            out[k] = beside[k] * row[k] + up[k] * after[k]
    else:
        down, before = a[other, i - 1], u[other, i - 1]
        for k in range(size):
            out[k] = beside[k] * row[k] + up[k] * after[k] + down[k] * before[k]
    left, right = a[-6 + colour, i], a[-5 - colour, i]
    if size > 1:
        out[0] += right[0] * row[1]
        out[size - 1] += left[size - 2] * row[size - 2]
    for k in range(1, size - 1):
        out[k] += left[k - 1] * row[k - 1] + right[k] * row[k + 1]
    if half < size:
        up, down = a[2 + colour, i], a[2 + other, i]
        # Windows, because an index that might be negative keeps a loop from being vectorised.
        after, inner, rest = row[half:], out[half:], size - half
        for k in range(rest):
            out[k] += up[k] * after[k]
        for k in range(rest):
            inner[k] += down[k] * row[k]


@compiled
def black_from_zero(a: Array, b: Array, u: Array, i: int, half: int, r: Array, line: Array) -> None:
    """Relax the black cells of plane i, whose neighbours alone are not zero; their residual goes to r."""
    neighbours(a, u, 1, i, half, line)
    keep, weight, rhs, row = a[-3, i], a[-1, i], b[1, i], u[1, i]
    for k in range(line.size):
        known = rhs[k] + line[k]
        row[k] = weight[k] * known
        r[k] = keep[k] * known


@compiled
def red_residual(a: Array, b: Array, u: Array, i: int, half: int, line: Array) -> None:
    """The residual of the red cells of plane i, which were relaxed from zero before their neighbours."""
    neighbours(a, u, 0, i, half, line)
    keep, rhs = a[-4, i], b[0, i]
    for k in range(line.size):
        line[k] += keep[k] * rhs[k]


@compiled
def relax(a: Array, b: Array, u: Array, colour: int, i: int, half: int, line: Array) -> None:
    """Relax one colour of plane i."""
    neighbours(a, u, colour, i, half, line)
    keep, weight, rhs, row = a[-4 + colour, i], a[-2 + colour, i], b[colour, i], u[colour, i]
    for k in range(line.size):
        row[k] = keep[k] * row[k] + weight[k] * (rhs[k] + line[k])


@compiled
def sum_into(red: Array, black: Array, half: int, out: Array) -> None:
    """Add the cells of a plane to their blocks, which are as many in a line as cells of a colour."""
    for j in range(red.size // half):
        start, blocks = j * half, out[j // 2 * half : (j // 2 + 1) * half]
        for k in range(half):
            blocks[k] += red[start + k] + black[start + k]


@compiled
def add_copy(e: Array, half: int, u: Array) -> None:
    """Add to one colour of a plane the values of its blocks."""
    for j in range(u.size // half):
        line, blocks = u[j * half : (j + 1) * half], e[j // 2 * half : (j // 2 + 1) * half]
        for k in range(half):
            line[k] += blocks[k]


@compiled
def add_scaled_copy(e: Array, half: int, factor: Array, u: Array) -> None:
    """The same times a factor in every cell."""
    for j in range(u.size // half):
        line, blocks = u[j * half : (j + 1) * half], e[j // 2 * half : (j // 2 + 1) * half]
        scale = factor[j * half : (j + 1) * half]
        for k in range(half):
            line[k] += scale[k] * blocks[k]


@compiled
def down(a: Array, b: Array, u: Array, half: int, fine: Array, below: Array, coarse_half: int, work: Array) -> None:
    """Relax red and black from zero and sum the residual over blocks: a plane's stages follow one plane apart."""
    _, planes, size = u.shape
    lines = size // half
    line, blocks = work[2, :size], work[3, : (lines + 1) // 2 * half]
    for front in range(planes + 2):
        if front < planes:
            weight, rhs, row = a[-2, front], b[0, front], u[0, front]
            for k in range(size):
                row[k] = weight[k] * rhs[k]
        if 1 <= front <= planes:
            black_from_zero(a, b, u, front - 1, half, work[(front - 1) % 2, :size], line)
        if front >= 2:
            i = front - 2
            black = work[i % 2, :size]
            red_residual(a, b, u, i, half, line)
            if fine.size:
                line *= fine[0, i]
                black *= fine[1, i]
            if i % 2 == 0:
                blocks[:] = 0
            sum_into(line, black, half, blocks)
            if i % 2 or i == planes - 1:
                split(blocks, i // 2, half, coarse_half, below)


@compiled
def up(a: Array, b: Array, u: Array, half: int, fine: Array, e: Array, coarse_half: int, work: Array) -> None:
    """Add the correction and relax black, then red: a plane's stages follow one plane apart."""
    _, planes, size = u.shape
    lines = size // half
    line, blocks = work[2, :size], work[3, : (lines + 1) // 2 * half]
    for front in range(planes + 2):
        if front < planes:
            if front % 2 == 0:
                merge(e, front // 2, half, coarse_half, blocks)
            for colour in range(2):
                if fine.size:
                    add_scaled_copy(blocks, half, fine[colour, front], u[colour, front])
                else:
                    add_copy(blocks, half, u[colour, front])
        if 1 <= front <= planes:
            relax(a, b, u, 1, front - 1, half, line)
        if front >= 2:
            relax(a, b, u, 0, front - 2, half, line)
