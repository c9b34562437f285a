"""Sparse matrices in compressed rows: one pattern, a batch of values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers.errors import DTypeError, PatternError, ShapeError
from solvers.operators.linear_operator import DTYPES, LinearOperator

__all__ = ["CSROperator", "CSRPattern"]

_INT32_LIMIT = 2**31


class CSRPattern:
    """Where the entries of a sparse matrix are: ``crow (m + 1)`` and ``col (nnz)``, int32, columns sorted in each row.

    Int32 is not a detail: torch converts int64 indices at every product, which costs a factor of four.
    Everything derived from the pattern (row indices, transpose, block-diagonal copies for batches) is cached here.
    """

    def __init__(self, crow: Tensor, col: Tensor, shape: tuple[int, int]) -> None:
        if crow.shape != (shape[0] + 1,) or col.ndim != 1:
            raise ShapeError(
                f"crow {tuple(crow.shape)} and col {tuple(col.shape)}: a matrix of {shape[0]} rows needs "
                f"crow ({shape[0] + 1},) and a one-dimensional col"
            )
        if col.numel() >= _INT32_LIMIT:
            raise PatternError(f"{col.numel()} entries: a pattern holds fewer than 2^31; split the matrix by rows")
        self.crow, self.col, self.shape = crow.to(torch.int32), col.to(torch.int32), (int(shape[0]), int(shape[1]))
        self._blocks: dict[int, tuple[Tensor, Tensor]] = {}
        self._validate()

    @cached_property
    def row(self) -> Tensor:
        """Row of every entry, int64."""
        rows = torch.arange(self.shape[0], device=self.col.device)
        return rows.repeat_interleave((self.crow[1:] - self.crow[:-1]).long(), output_size=self.col.numel())

    @cached_property
    def column(self) -> Tensor:
        """Column of every entry, int64."""
        return self.col.long()

    @cached_property
    def transposed(self) -> tuple[CSRPattern, Tensor]:
        """The pattern of Aᵀ and the permutation that takes A's values to Aᵀ's."""
        order = torch.argsort(self.column * self.shape[0] + self.row)
        counts = torch.bincount(self.column, minlength=self.shape[1])
        return CSRPattern(_from_counts(counts), self.row[order], self.shape[::-1]), order

    def blocks(self, count: int) -> tuple[Tensor, Tensor]:
        """``crow, col`` of the block-diagonal matrix with `count` copies of this pattern."""
        if count not in self._blocks:
            nnz, (m, n) = self.col.numel(), self.shape
            if count * max(nnz, m, n) >= _INT32_LIMIT:
                raise PatternError(f"{count} systems of {nnz} entries overflow 32-bit indices: split the batch")
            shift = torch.arange(count, dtype=torch.int32, device=self.col.device)[:, None]
            crow = torch.cat([self.crow[:1], (self.crow[1:] + shift * nnz).reshape(-1)])
            self._blocks[count] = crow, (self.col + shift * n).reshape(-1)
        return self._blocks[count]

    def _validate(self) -> None:
        steps, nnz = self.crow[1:] - self.crow[:-1], self.col.numel()
        if int(self.crow[0]) != 0 or int(self.crow[-1]) != nnz or bool((steps < 0).any()):
            raise PatternError(
                f"crow must rise from 0 to the number of entries ({nnz}); it ends at {int(self.crow[-1])}"
            )
        if nnz and not 0 <= int(self.col.min()) <= int(self.col.max()) < self.shape[1]:
            raise PatternError(
                f"columns run from {int(self.col.min())} to {int(self.col.max())} in a matrix of {self.shape[1]}"
            )
        backward = (self.col[1:] <= self.col[:-1]) & (self.row[1:] == self.row[:-1])
        if bool(backward.any()):
            row = int(self.row[1:][backward][0])
            raise PatternError(
                f"row {row} has unsorted or repeated columns: build the matrix with CSROperator.from_coo"
            )


class CSROperator(LinearOperator):
    """A batch of sparse matrices that share one pattern.

    Parameters
    ----------
    crow, col
        Row pointers ``(m + 1,)`` and sorted columns ``(nnz,)``.
    values
        Entries ``(*batch, nnz)``, float32 or float64; the differentiable parameter.
    shape
        (m, n).
    tags
        What is known of the matrix: "symmetric", "spd".

    Raises
    ------
    ShapeError, DTypeError, PatternError

    Examples
    --------
    >>> import torch
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]), tags={"spd"})
    >>> A.mv(torch.tensor([1.0, 1.0]))
    tensor([1., 1.])
    """

    def __init__(
        self, crow: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int], tags: Iterable[str] = ()
    ) -> None:
        self._set(CSRPattern(crow, col, shape), values, tags)

    @classmethod
    def from_pattern(cls, pattern: CSRPattern, values: Tensor, tags: Iterable[str] = ()) -> CSROperator:
        """Values ``(*batch, nnz)`` on an existing pattern, whose caches are shared."""
        self = cls.__new__(cls)
        self._set(pattern, values, tags)
        return self

    @classmethod
    def from_coo(
        cls, row: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int], tags: Iterable[str] = ()
    ) -> CSROperator:
        """Triplets in any order; duplicates are summed, and gradients flow back to the input ``values (*batch, z)``."""
        if row.shape != col.shape or values.shape[-1:] != row.shape:
            raise ShapeError(
                f"row {tuple(row.shape)}, col {tuple(col.shape)}, values {tuple(values.shape)}: "
                "expected (z,), (z,), (*batch, z)"
            )
        if row.numel() and (int(row.min()) < 0 or int(row.max()) >= shape[0]):
            raise PatternError(f"rows run from {int(row.min())} to {int(row.max())} in a matrix of {shape[0]} rows")
        if col.numel() and (int(col.min()) < 0 or int(col.max()) >= shape[1]):
            raise PatternError(
                f"columns run from {int(col.min())} to {int(col.max())} in a matrix of {shape[1]} columns"
            )
        keys, place = torch.unique(row.long() * shape[1] + col.long(), return_inverse=True)
        counts = torch.bincount(keys // shape[1], minlength=shape[0])
        summed = values.new_zeros(*values.shape[:-1], keys.numel()).index_add(-1, place, values)
        return cls(_from_counts(counts), keys % shape[1], summed, shape, tags)

    @classmethod
    def from_dense(cls, dense: Tensor, tags: Iterable[str] = ()) -> CSROperator:
        """Matrices ``(*batch, m, n)``; the pattern is the union of their nonzeros."""
        m, n = dense.shape[-2:]
        row, col = (dense != 0).reshape(-1, m, n).any(0).nonzero(as_tuple=True)
        return cls(_from_counts(torch.bincount(row, minlength=m)), col, dense[..., row, col], (m, n), tags)

    @classmethod
    def from_scipy(
        cls, matrix: Any, tags: Iterable[str] = (), device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> CSROperator:
        """Any SciPy sparse matrix or array."""
        csr = scipy.sparse.csr_array(matrix)
        csr.sum_duplicates()
        crow, col = (torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in (csr.indptr, csr.indices))
        values = torch.from_numpy(np.asarray(csr.data)).to(device, dtype)
        m, n = csr.shape
        return cls(crow.to(device), col.to(device), values, (m, n), tags)

    def _set(self, pattern: CSRPattern, values: Tensor, tags: Iterable[str]) -> None:
        if values.ndim == 0 or values.shape[-1] != pattern.col.numel():
            raise ShapeError(
                f"values {tuple(values.shape)}: the pattern has {pattern.col.numel()} entries; expected (*batch, nnz)"
            )
        if values.dtype not in DTYPES:
            raise DTypeError(f"values of dtype {values.dtype}: expected float32, float64, complex64 or complex128")
        self.pattern, self.values = pattern, values
        self.tags = frozenset(tags) | ({"symmetric"} if "spd" in tags else frozenset())

    @property
    def shape(self) -> tuple[int, int]:
        return self.pattern.shape

    @property
    def batch_shape(self) -> torch.Size:
        return self.values.shape[:-1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def replace(self, parameters: tuple[Tensor, ...]) -> CSROperator:
        return CSROperator.from_pattern(self.pattern, parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        products = left[..., self.pattern.row] * right[..., self.pattern.column].conj()
        return (products.sum_to_size(self.values.shape),)

    def diagonal(self) -> Tensor:
        on_diagonal = torch.where(self.pattern.row == self.pattern.column, self.values, 0)
        return self.values.new_zeros(*self.batch_shape, self.shape[0]).index_add(-1, self.pattern.row, on_diagonal)[
            ..., : min(self.shape)
        ]

    def to_scipy(self) -> scipy.sparse.csr_array:
        """A SciPy matrix sharing memory where it can; raises ShapeError for a batch."""
        if self.batch_shape:
            raise ShapeError(
                f"a batch {tuple(self.batch_shape)} is not one SciPy matrix: loop over from_pattern(A.pattern, v)"
            )
        parts = (self.values, self.pattern.col, self.pattern.crow)
        return scipy.sparse.csr_array(tuple(part.detach().cpu().numpy() for part in parts), shape=self.shape)

    def _mv(self, x: Tensor) -> Tensor:
        return _multiply(self.pattern, self.values, x)

    def _rmv(self, x: Tensor) -> Tensor:
        pattern, order = self.pattern.transposed
        return _multiply(pattern, self.values[..., order].conj(), x)


def _multiply(pattern: CSRPattern, values: Tensor, x: Tensor) -> Tensor:
    """Products of a batch through one block-diagonal matrix: torch's own CSR kernel, at memory bandwidth."""
    batch = torch.broadcast_shapes(values.shape[:-1], x.shape[:-1])
    m, n = pattern.shape
    count = batch.numel()
    crow, col = pattern.blocks(count)
    blocks = values.expand(*batch, -1).reshape(-1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(crow, col, blocks, (count * m, count * n), check_invariants=False)
        return (matrix @ x.expand(*batch, n).reshape(-1)).reshape(*batch, m)


def _from_counts(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
