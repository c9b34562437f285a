"""Grid transfers along one axis: every point gathers, so that no two programs add to the same number."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from math import prod
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from solvers.kernels.structures import Interpolation
from solvers.kernels.triton_launch import launch
from solvers.kernels.triton_points import cut, this_block

__all__ = ["prolong_along", "restrict_along"]


def prolong_along(step: Interpolation, coarse: Tensor) -> Tensor:
    """From the contiguous ``(batch, *grid)`` to the grid that is finer along the axis of the step."""
    return _launch(prolong_kernel, step, coarse.new_empty(coarse.shape[0], *step.grid), coarse)


def restrict_along(step: Interpolation, fine: Tensor) -> Tensor:
    """The transpose."""
    shape = list(fine.shape)
    shape[step.axis + 1] = step.coarse
    return _launch(restrict_kernel, step, fine.new_empty(shape), fine)


def _launch(kernel: Any, step: Interpolation, out: Tensor, source: Tensor) -> Tensor:
    weight, points = step.weight.detach().contiguous().resolve_neg(), prod(out.shape[1:])
    programs, block = cut(out.shape[0], points, prod(step.grid))
    axis = step.grid[step.axis], step.coarse, prod(step.grid[step.axis + 1 :])
    weights = weight, weight.shape[0]
    kind = {"VERTEX": step.alignment == "vertex", "PERIODIC": step.periodic}
    return launch(kernel, programs, out, source, weights, axis, points, prod(source.shape[1:]), **kind, **block)


@triton.jit
def prolong_kernel(
    fine: tl.tensor,
    coarse: tl.tensor,
    weights: tl.tuple,
    axis: tl.tuple,
    points: tl.tensor,
    coarse_points: tl.tensor,
    VERTEX: tl.constexpr,
    PERIODIC: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """fine = (1 − w) coarse(parent) + w coarse(other)."""
    sample, k, inside = this_block(points, BLOCK, WIDE)
    weight, own = weights
    n, m, behind = axis
    i = k // behind % n
    if VERTEX:
        parent = (i + 1) // 2 - 1
        other = i // 2
    else:
        parent = i // 2
        other = parent + i % 2 * 2 - 1
    line = coarse + sample * coarse_points + (k // (n * behind) * m * behind + k % behind)
    w = tl.load(weight + sample % own * points + k, mask=inside, other=0)
    value = (1 - w) * at(line, parent, m, behind, inside, PERIODIC) + w * at(line, other, m, behind, inside, PERIODIC)
    tl.store(fine + sample * points + k, value, mask=inside)


@triton.jit
def restrict_kernel(
    coarse: tl.tensor,
    fine: tl.tensor,
    weights: tl.tuple,
    axis: tl.tuple,
    points: tl.tensor,
    fine_points: tl.tensor,
    VERTEX: tl.constexpr,
    PERIODIC: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """coarse(c) = Σ (1 − w) fine over the points whose parent is c + Σ w fine over those whose other it is."""
    sample, k, inside = this_block(points, BLOCK, WIDE)
    weight, own = weights
    n, m, behind = axis
    start = k // (m * behind) * n * behind + k % behind
    line = fine + sample * fine_points + start
    line_weight = weight + sample % own * fine_points + start
    total = tl.zeros((BLOCK,), coarse.dtype.element_ty)
    for near in tl.static_range(1 if VERTEX else 0, 4):
        i = k // behind % m * 2 - 1 + near
        f = at(line, i, n, behind, inside, PERIODIC)
        w = at(line_weight, i, n, behind, inside, PERIODIC)
        # The first point, and the last one of cells, have their parent elsewhere.
        if near == (1 if VERTEX else 0) or (near == 3 and not VERTEX):
            total += w * f
        else:
            total += (1 - w) * f
    tl.store(coarse + sample * points + k, total, mask=inside)


@triton.jit
def at(
    line: tl.tensor, i: tl.tensor, n: tl.tensor, stride: tl.tensor, wanted: tl.tensor, PERIODIC: tl.constexpr
) -> tl.tensor:
    """Number i of a line of n, at most one place beyond its ends: there it is 0, or that of the other end."""
    if PERIODIC:
        i = tl.where(i < 0, i + n, i)
        i = tl.where(i >= n, i - n, i)
    return tl.load(line + i * stride, mask=wanted & (i >= 0) & (i < n), other=0)
