"""The sum over the taps of a stencil at a block of points: what the kernels on grids have in common."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from solvers.kernels.packing import padded
from solvers.kernels.structures import Taps
from solvers.kernels.triton_launch import launch
from solvers.kernels.triton_points import coordinates, cut

__all__ = ["coefficient", "launch_on_grid", "weighted_sum"]


def launch_on_grid(kernel: Any, taps: Taps, data: Tensor, out: Tensor, *fields: Tensor, **constants: Any) -> Tensor:
    """Run a kernel at every point of `out`; it and the fields are ``(batch, *grid)`` and contiguous.

    The data may have any layout: what an expanded tensor repeats is never written out.
    """
    data, grid = data.detach().resolve_neg(), padded(out.shape[1:])
    strides = (*data.stride()[:2], *(0,) * (5 - data.ndim), *data.stride()[2:])
    extent = sum(n * stride for n, stride in zip(grid, strides[2:], strict=True))
    programs, block = cut(out.shape[0], prod(grid), extent)
    stencil = data, data.shape[0], strides, grid
    return launch(kernel, programs, out, *fields, stencil, prod(grid), TAPS=_table(taps), **constants, **block)


@lru_cache(maxsize=256)
def _table(taps: Taps) -> tuple[tuple[Any, ...], ...]:
    """A row for every tap: its shift along three axes, which of them are periodic, part, sign, moved."""
    missing = 3 - len(taps.periodic)
    wraps = (False,) * missing + taps.periodic
    rows = zip(taps.shift, taps.part, taps.sign, taps.moved, strict=True)
    return tuple((*(0,) * missing, *shift, *wraps, part, sign, moved) for shift, part, sign, moved in rows)


@triton.jit
def weighted_sum(
    x: tl.tensor, stencil: tl.tuple, sample: tl.tensor, k: tl.tensor, wanted: tl.tensor, TAPS: tl.constexpr
) -> tl.tensor:
    """Σ_q sign_q c_q(j) x(i + shift_q) at the points k where `wanted`; x is the field of the sample."""
    grid = stencil[3]
    i0, i1, i2 = coordinates(k, grid)
    total = tl.zeros(k.shape, x.dtype.element_ty)
    for q in tl.static_range(len(TAPS)):
        j0, on0 = moved(i0, grid[0], TAPS[q][0], TAPS[q][3])
        j1, on1 = moved(i1, grid[1], TAPS[q][1], TAPS[q][4])
        j2, on2 = moved(i2, grid[2], TAPS[q][2], TAPS[q][5])
        there = wanted & on0 & on1 & on2
        value = tl.load(x + ((j0 * grid[1] + j1) * grid[2] + j2), mask=there, other=0)
        if TAPS[q][8]:
            c = coefficient(stencil, sample, j0, j1, j2, there, TAPS[q][6])
        else:
            c = coefficient(stencil, sample, i0, i1, i2, there, TAPS[q][6])
        total += TAPS[q][7] * c * value
    return total


@triton.jit
def coefficient(
    stencil: tl.tuple,
    sample: tl.tensor,
    i0: tl.tensor,
    i1: tl.tensor,
    i2: tl.tensor,
    wanted: tl.tensor,
    PART: tl.constexpr,
) -> tl.tensor:
    """One part of the data at the points (i0, i1, i2) where `wanted`, else 0."""
    data, own, strides, _ = stencil
    place = data + sample % own * strides[0] + tl.cast(PART, tl.int64) * strides[1]
    return tl.load(place + (i0 * strides[2] + i1 * strides[3] + i2 * strides[4]), mask=wanted, other=0)


@triton.jit
def moved(i: tl.tensor, n: tl.tensor, SHIFT: tl.constexpr, PERIODIC: tl.constexpr) -> tl.tuple:
    """The coordinate i + SHIFT on an axis of n points, and whether it lies there."""
    j = i + SHIFT
    if PERIODIC and SHIFT > 0:
        j = i + SHIFT % n
        j = tl.where(j >= n, j - n, j)
    if PERIODIC and SHIFT < 0:  # remainders of positive numbers only: those of negative ones are not Python's
        j = i - (-SHIFT) % n
        j = tl.where(j < 0, j + n, j)
    return j, (j >= 0) & (j < n)
