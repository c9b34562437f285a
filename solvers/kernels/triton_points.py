"""Which points of a grid a program works on: a block of consecutive ones of one sample.

The number of a sample, and where its data begins, have 64 bits; the points of one sample are counted in 32 bits where
these suffice.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

__all__ = ["coordinates", "cut", "this_block"]

#: Offsets below this leave room for a step across an axis, and for the rest of a block.
_NARROW = 2**30


def cut(batch: int, points: int, extent: int) -> tuple[int, dict[str, Any]]:
    """The number of programs for a batch of fields, and the constants of their kernel.

    `extent` is the largest offset into other data of one sample. Small grids get small blocks: fewer lanes idle.
    """
    block = min(max(triton.next_power_of_2(points), 32), 512)
    wide = max(points, extent) >= _NARROW
    return batch * -(-points // block), {"BLOCK": block, "WIDE": wide, "num_warps": max(block // 128, 1)}


@triton.jit
def this_block(points: tl.tensor, BLOCK: tl.constexpr, WIDE: tl.constexpr) -> tl.tuple:
    """The sample of this program, the indices of its points, and which of them exist."""
    blocks = tl.cdiv(points, BLOCK)
    program = tl.program_id(0)
    block = program % blocks
    if WIDE:
        block = block.to(tl.int64)
    k = block * BLOCK + tl.arange(0, BLOCK)
    return (program // blocks).to(tl.int64), k, k < points


@triton.jit
def coordinates(k: tl.tensor, grid: tl.tuple) -> tl.tuple:
    """The three indices of the points k."""
    return k // (grid[1] * grid[2]), k // grid[2] % grid[1], k % grid[2]
