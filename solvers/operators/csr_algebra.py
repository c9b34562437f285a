"""Sums, products and blocks of sparse matrices, formed: new patterns, with values that follow those of the operands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from solvers.operators.composed import require_agreement
from solvers.operators.csr import CSROperator
from solvers.operators.csr_pattern import CSRPattern, row_pointers

__all__ = ["block_diag", "csr_product", "csr_sum"]


def block_diag(blocks: Sequence[CSROperator], tags: Iterable[str] = ()) -> CSROperator:
    """One sparse matrix with the blocks along its diagonal, differentiable in the values of every block.

    For one system of coupled parts; a batch of systems of different sizes is a `BlockDiagonalOperator`.

    Parameters
    ----------
    blocks
        Matrices of any shapes, of one dtype and device; batch axes broadcast.
    tags
        What else is known of the matrix; what every block claims is kept.

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        There is no block, or they do not fit together.

    Examples
    --------
    >>> import torch
    >>> block_diag([CSROperator.from_dense(torch.ones(1, 2)), CSROperator.from_dense(torch.ones(1, 1))]).to_dense()
    tensor([[1., 1., 0.],
            [0., 0., 1.]])
    """
    require_agreement(blocks, "join")
    batch = torch.broadcast_shapes(*(block.batch_shape for block in blocks))
    m, n = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    first = accumulate((block.shape[1] for block in blocks), initial=0)
    columns = torch.cat([block.pattern.column + start for block, start in zip(blocks, first, strict=False)])
    crow = row_pointers(torch.cat([block.pattern.crow.diff() for block in blocks]))
    values = torch.cat([block.values.expand(*batch, -1) for block in blocks], -1)
    shared = frozenset.intersection(*(block.tags for block in blocks))
    return CSROperator(crow, columns, values, (m, n), shared.union(tags))


def csr_sum(terms: Sequence[CSROperator], tags: Iterable[str] = ()) -> CSROperator:
    """A + B + … on the union of the patterns, differentiable in the values of every term."""
    first, *rest = terms
    batch = torch.broadcast_shapes(*(term.batch_shape for term in terms))
    values = [term.values.expand(*batch, -1) for term in terms]
    if all(first.pattern.is_same(term.pattern) for term in rest):
        return CSROperator.from_pattern(first.pattern, torch.stack(values).sum(0), tags)
    row = torch.cat([term.pattern.row for term in terms])
    column = torch.cat([term.pattern.column for term in terms])
    return CSROperator.from_coo(row, column, torch.cat(values, -1), first.shape, tags)


def csr_product(A: CSROperator, B: CSROperator, tags: Iterable[str] = ()) -> CSROperator:
    """A B, differentiable in the values of both: (A B)ᵢⱼ = Σ_k Aᵢₖ Bₖⱼ over all pairs of entries that meet in a k."""
    batch = torch.broadcast_shapes(A.batch_shape, B.batch_shape)
    left, right = _meetings(A.pattern, B.pattern)
    values = (A.values[..., left] * B.values[..., right]).expand(*batch, -1)
    row, column = A.pattern.row[left], B.pattern.column[right]
    return CSROperator.from_coo(row, column, values, (A.shape[0], B.shape[1]), tags)


def _meetings(A: CSRPattern, B: CSRPattern) -> tuple[Tensor, Tensor]:
    """All pairs of an entry (i, k) of A and an entry (k, j) of B."""
    start, end = B.crow[:-1].long()[A.column], B.crow[1:].long()[A.column]
    counts = end - start
    left = torch.arange(counts.numel(), device=counts.device).repeat_interleave(counts)
    within = torch.arange(left.numel(), device=counts.device) - (counts.cumsum(0) - counts)[left]
    return left, start[left] + within
