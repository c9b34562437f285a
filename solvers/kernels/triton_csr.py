"""The product with a batch of sparse matrices of one pattern: a tile of rows and of their entries at a time."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from solvers.kernels.triton_launch import launch

__all__ = ["csr_product"]

_TILE = 512


def csr_product(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """A x for the values ``(k, nnz)``, repeated along the vectors ``(batch, n)``; all contiguous."""
    rows, entries, (batch, columns) = crow.numel() - 1, col.numel(), x.shape
    width = min(triton.next_power_of_2(-(-entries // max(rows, 1))), 32) if entries else 1
    height = min(triton.next_power_of_2(max(rows, 1)), _TILE // width)
    sizes, tile = (batch, rows, columns, entries, values.shape[0]), {"ROWS": height, "WIDTH": width}
    return launch(csr_kernel, batch * -(-rows // height), x.new_empty(batch, rows), x, crow, col, values, sizes, **tile)


@triton.jit
def csr_kernel(
    y: tl.tensor,
    x: tl.tensor,
    crow: tl.tensor,
    col: tl.tensor,
    values: tl.tensor,
    sizes: tl.tuple,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """One block of rows of one sample. Samples follow each other, so that memory is asked for the pattern once."""
    batch, rows, columns, entries, own = sizes
    sample = (tl.program_id(0) % batch).to(tl.int64)
    row = (tl.program_id(0) // batch).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    begin = tl.load(crow + row, mask=inside, other=0).to(tl.int64)
    end = tl.load(crow + row + 1, mask=inside, other=0).to(tl.int64)
    x += sample * columns
    values += sample % own * entries
    total = tl.zeros((ROWS, WIDTH), y.dtype.element_ty)
    for first in range(0, tl.max(end - begin), WIDTH):
        k = begin[:, None] + first + tl.arange(0, WIDTH)[None, :]
        here = k < end[:, None]
        j = tl.load(col + k, mask=here, other=0)
        total += tl.load(values + k, mask=here, other=0) * tl.load(x + j, mask=here, other=0)
    tl.store(y + sample * rows + row, tl.sum(total, 1), mask=inside)
