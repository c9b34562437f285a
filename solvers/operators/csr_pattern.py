"""Where the entries of a sparse matrix are, and what follows from that alone."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, PatternError, ShapeError

__all__ = ["CSRPattern", "require_countable", "row_pointers"]

_INT32_LIMIT = 2**31


class CSRPattern:
    """``crow (m + 1)`` and ``col (nnz)``, int32, columns sorted in each row.

    Int32 is not a detail: torch converts int64 indices at every product, which costs a factor of four.
    Everything derived from the pattern (row indices, transpose, block-diagonal copies for batches) is cached here.

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        The two arrays do not fit the shape or each other, or do not hold integers.
    PatternError
        Columns are unsorted, repeated or out of range, row pointers do not rise, or 32 bits cannot count the entries.
    """

    def __init__(self, crow: Tensor, col: Tensor, shape: tuple[int, int]) -> None:
        self.shape = int(shape[0]), int(shape[1])
        self._check_form(crow, col)
        self._check_places(crow, col)
        self.crow, self.col = crow.to(torch.int32), col.to(torch.int32)
        self._blocks: dict[int, tuple[Tensor, Tensor]] = {}

    @cached_property
    def row(self) -> Tensor:
        """Row of every entry, int64."""
        return _rows(self.crow, self.col.numel())

    @cached_property
    def column(self) -> Tensor:
        """Column of every entry, int64."""
        return self.col.long()

    @cached_property
    def transposed(self) -> tuple[CSRPattern, Tensor]:
        """The pattern of Aᵀ and the permutation that takes A's values to Aᵀ's."""
        order = torch.argsort(self.column * self.shape[0] + self.row)
        counts = torch.bincount(self.column, minlength=self.shape[1])
        return CSRPattern(row_pointers(counts), self.row[order], self.shape[::-1]), order

    def blocks(self, count: int) -> tuple[Tensor, Tensor]:
        """``crow, col`` of the block-diagonal matrix with `count` copies of this pattern."""
        if count == 1:
            return self.crow, self.col
        if count not in self._blocks:
            nnz, (m, n) = self.col.numel(), self.shape
            if count * max(nnz, m, n) >= _INT32_LIMIT:
                raise PatternError(f"{count} systems of {nnz} entries overflow 32-bit indices: split the batch")
            shift = torch.arange(count, dtype=torch.int32, device=self.col.device)[:, None]
            crow = torch.cat([self.crow[:1], (self.crow[1:] + shift * nnz).reshape(-1)])
            self._blocks[count] = crow, (self.col + shift * n).reshape(-1)
        return self._blocks[count]

    def to(self, device: torch.device | str) -> CSRPattern:
        """The pattern on another device; itself if it is there."""
        if self.col.device == torch.device(device):
            return self
        return CSRPattern(self.crow.to(device), self.col.to(device), self.shape)

    def is_same(self, other: CSRPattern) -> bool:
        """Whether both stand for the same places."""
        if self is other:
            return True
        if self.shape != other.shape or self.col.shape != other.col.shape or self.col.device != other.col.device:
            return False
        return torch.equal(self.crow, other.crow) and torch.equal(self.col, other.col)

    def _check_form(self, crow: Tensor, col: Tensor) -> None:
        m, n = self.shape
        if m < 0 or n < 0 or crow.shape != (m + 1,) or col.ndim != 1:
            raise ShapeError(
                f"crow {tuple(crow.shape)} and col {tuple(col.shape)}: a matrix of {m} rows and {n} columns needs "
                f"crow ({m + 1},) and a one-dimensional col"
            )
        for name, index in (("crow", crow), ("col", col)):
            if index.dtype not in (torch.int32, torch.int64):
                raise DTypeError(f"{name} of dtype {index.dtype}: indices are int32 or int64")
        if crow.device != col.device:
            raise DeviceError(f"crow on {crow.device}, col on {col.device}: move them to one device")
        require_countable(col.numel(), self.shape)

    def _check_places(self, crow: Tensor, col: Tensor) -> None:
        # Before the conversion to 32 bits, which would fold larger numbers into the matrix.
        n, nnz = self.shape[1], col.numel()
        if int(crow[0]) != 0 or int(crow[-1]) != nnz or bool((crow[1:] < crow[:-1]).any()):
            raise PatternError(
                f"crow must rise from 0 to the number of entries ({nnz}); it runs from {int(crow[0])} to "
                f"{int(crow[-1])}: count the entries of every row, or use CSROperator.from_coo"
            )
        if nnz and not 0 <= int(col.min()) <= int(col.max()) < n:
            raise PatternError(
                f"columns run from {int(col.min())} to {int(col.max())} in a matrix of {n}: columns count from 0, and "
                "shape is (rows, columns)"
            )
        row = _rows(crow, nnz)
        backward = (col[1:] <= col[:-1]) & (row[1:] == row[:-1])
        if bool(backward.any()):
            raise PatternError(
                f"row {int(row[1:][backward][0])} has unsorted or repeated columns: build the matrix with "
                "CSROperator.from_coo"
            )


def require_countable(nnz: int, shape: tuple[int, int]) -> None:
    """Raise `PatternError` unless 32 bits count the entries, rows and columns; nothing need be allocated before."""
    m, n = shape
    if max(nnz, m, n) >= _INT32_LIMIT:
        raise PatternError(
            f"{nnz} entries in {m} rows and {n} columns: a pattern counts below 2^31; split the matrix by rows, or use "
            "DistributedCSR"
        )


def row_pointers(counts: Tensor) -> Tensor:
    """``crow`` from the number of entries in every row."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _rows(crow: Tensor, nnz: int) -> Tensor:
    rows = torch.arange(crow.numel() - 1, device=crow.device)
    return rows.repeat_interleave((crow[1:] - crow[:-1]).long(), output_size=nnz)
