"""Sparse matrices in compressed rows: one pattern, a batch of values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, PatternError, ShapeError
from solvers.kernels import kernels_for, repeating
from solvers.operators.csr_pattern import CSRPattern, require_countable, row_pointers
from solvers.operators.kept import Kept
from solvers.operators.linear_operator import DTYPES, LinearOperator, closed

__all__ = ["CSROperator", "CSRPattern"]


class CSROperator(LinearOperator):
    """A batch of sparse matrices that share one pattern.

    Parameters
    ----------
    crow, col
        Row pointers ``(m + 1,)`` and sorted columns ``(nnz,)``.
    values
        Entries ``(*batch, nnz)``, real or complex; the differentiable parameter.
    shape
        (m, n).
    tags
        What is known of the matrix: "symmetric", "spd".

    Raises
    ------
    ShapeError, DTypeError, DeviceError, PatternError

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
        """Triplets in any order; duplicates are summed, and gradients flow back to the input ``values (*batch, z)``.

        Raises
        ------
        ShapeError, DTypeError, DeviceError, PatternError
            The arrays do not fit each other, or a triplet lies outside of the matrix.
        """
        if row.ndim != 1 or row.shape != col.shape or values.shape[-1:] != row.shape:
            raise ShapeError(
                f"row {tuple(row.shape)}, col {tuple(col.shape)}, values {tuple(values.shape)}: "
                "expected (z,), (z,), (*batch, z)"
            )
        require_countable(row.numel(), shape)
        for name, index, length in (("row", row, shape[0]), ("column", col, shape[1])):
            _check_index(name, index, length, values.device)
        keys, place = torch.unique(row.long() * shape[1] + col.long(), return_inverse=True)
        width = max(shape[1], 1)
        counts = torch.bincount(keys // width, minlength=shape[0])
        summed = values.new_zeros(*values.shape[:-1], keys.numel()).index_add(-1, place, values)
        return cls(row_pointers(counts), keys % width, summed, shape, tags)

    @classmethod
    def from_dense(cls, dense: Tensor, tags: Iterable[str] = ()) -> CSROperator:
        """Matrices ``(*batch, m, n)``; the pattern is the union of their nonzeros."""
        m, n = dense.shape[-2:]
        stored = dense != 0
        row, col = (stored.flatten(0, -3).any(0) if stored.ndim > 2 else stored).nonzero(as_tuple=True)
        return cls(row_pointers(torch.bincount(row, minlength=m)), col, dense[..., row, col], (m, n), tags)

    @classmethod
    def from_torch(cls, matrix: Tensor, tags: Iterable[str] = ()) -> CSROperator:
        """A torch tensor of layout sparse_coo, sparse_csr or sparse_csc, or a batch ``(*batch, m, n)`` in sparse_csr.

        Differentiable in its values, as far as torch is: it keeps no gradient in a sparse_csc tensor, but hands it on
        to the values from which that was made.

        Raises
        ------
        PatternError
            The layout is another one, or the matrices of a batch have different patterns.
        """
        if matrix.layout == torch.sparse_csc and matrix.ndim == 2:
            m, n = matrix.shape
            pattern, order = CSRPattern(matrix.ccol_indices(), matrix.row_indices(), (n, m)).transposed
            return cls.from_pattern(pattern, matrix.values()[order], tags)
        if matrix.layout == torch.sparse_coo and matrix.sparse_dim() == matrix.ndim == 2:
            matrix = matrix.coalesce()
            row, col = matrix.indices()
            return cls.from_coo(row, col, matrix.values(), (matrix.shape[0], matrix.shape[1]), tags)
        if matrix.layout != torch.sparse_csr or matrix.dense_dim():
            raise PatternError(
                f"tensor {tuple(matrix.shape)} of layout {matrix.layout}: expected a matrix in sparse_coo, sparse_csr "
                "or sparse_csc, or a batch in sparse_csr; for others use matrix.to_sparse_csr(), or from_dense"
            )
        m, n = matrix.shape[-2:]
        crow, col = _shared(matrix.crow_indices()), _shared(matrix.col_indices())
        return cls(crow, col, matrix.values(), (m, n), tags)

    @classmethod
    def from_scipy(
        cls, matrix: Any, tags: Iterable[str] = (), device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> CSROperator:
        """Any SciPy sparse matrix or array, copied: unsorted columns are sorted, duplicates summed."""
        csr = scipy.sparse.csr_array(matrix, copy=True)
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
        if values.device != pattern.col.device:
            raise DeviceError(f"values on {values.device}, pattern on {pattern.col.device}: move them to one device")
        self.pattern, self.values, self.tags = pattern, values, closed(tags)
        self._kept = Kept(values)

    @property
    def shape(self) -> tuple[int, int]:
        return self.pattern.shape

    @property
    def batch_shape(self) -> torch.Size:
        return self.values.shape[:-1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def replace(self, parameters: tuple[Tensor, ...]) -> CSROperator:
        return CSROperator.from_pattern(self.pattern.to(parameters[0].device), parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        products = left[..., self.pattern.row] * right[..., self.pattern.column].conj()
        return (products.sum_to_size(self.values.shape),)

    def diagonal(self) -> Tensor:
        on_diagonal = torch.where(self.pattern.row == self.pattern.column, self.values, 0)
        return self.values.new_zeros(*self.batch_shape, self.shape[0]).index_add(-1, self.pattern.row, on_diagonal)[
            ..., : min(self.shape)
        ]

    def to_scipy(self) -> scipy.sparse.csr_array:
        """The same matrix for SciPy and PyAMG, copied, with sorted int32 indices; raises ShapeError for a batch."""
        if self.batch_shape:
            raise ShapeError(
                f"a batch {tuple(self.batch_shape)} is not one SciPy matrix: loop over from_pattern(A.pattern, v)"
            )
        parts = (self.values.detach().resolve_conj(), self.pattern.col, self.pattern.crow)
        return scipy.sparse.csr_array(tuple(part.cpu().numpy() for part in parts), shape=self.shape, copy=True)

    def to_torch(self) -> Tensor:
        """The same matrices as a torch tensor ``(*batch, m, n)`` of layout sparse_csr; differentiable, if real.

        Raises
        ------
        DTypeError
            Complex values require a gradient, which torch's sparse_csr cannot follow.
        """
        if self.dtype.is_complex and torch.is_grad_enabled() and self.values.requires_grad:
            raise DTypeError(
                f"values of {self.dtype} with gradient: torch's sparse_csr is differentiable for real numbers only; "
                "detach them, A.replace((A.values.detach(),))"
            )
        crow, col = (part.expand(*self.batch_shape, -1).contiguous() for part in (self.pattern.crow, self.pattern.col))
        return _torch_csr(crow, col, self.values.resolve_conj(), (*self.batch_shape, *self.shape))

    def to_csr(self) -> CSROperator:
        """The operator itself, as what others become by this method."""
        return self

    def adjoint(self) -> CSROperator:
        """Aᴴ with stored entries, differentiable (``A.H`` is lazy, and A itself where that is tagged symmetric)."""
        pattern, order = self.pattern.transposed
        return CSROperator.from_pattern(pattern, self.values[..., order].conj().resolve_conj(), self.tags)

    def is_hermitian(self) -> bool:
        """Whether every matrix of the batch equals its adjoint, up to rounding relative to its largest entry."""
        if self.shape[0] != self.shape[1]:
            return False
        row, column, values = self.pattern.row, self.pattern.column, self.values.detach()
        places = torch.cat([row, column]), torch.cat([column, row])
        difference = CSROperator.from_coo(*places, torch.cat([values, -values.conj()], -1), self.shape)
        limit = 100 * torch.finfo(self.dtype).eps * self.largest(values)
        return bool((difference.values.abs() <= limit).all())

    @property
    def contents(self) -> str:
        return f"{self.pattern.col.numel()} entries, "

    def _mv(self, x: Tensor) -> Tensor:
        """One product of torch's own CSR kernel, which runs at memory bandwidth, with the whole batch.

        The batch of the matrices lies along one block-diagonal matrix; vectors that share them are its columns. A
        backend with a kernel for batches needs no such copy.
        """
        batch = torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        kernels = kernels_for(x)
        if batch.numel() > 1 and kernels.multiplies(self.batch_shape.numel()):
            values = self._kept.get("repeating", batch, lambda: repeating(self.values, len(self.batch_shape), batch))
            pattern, vectors = self.pattern, x.expand(*batch, self.shape[1]).reshape(batch.numel(), self.shape[1])
            return kernels.csr_product(pattern.crow, pattern.col, values, vectors).reshape(*batch, self.shape[0])
        own, (m, n) = self.batch_shape, self.shape
        while own and own[0] == 1:
            own = own[1:]
        if batch[len(batch) - len(own) :] != own:
            own = batch
        blocks, columns = own.numel(), batch[: len(batch) - len(own)].numel()
        matrix = self._kept.get("matrix", own, lambda: self._block_diagonal(own))
        if columns == 1:
            return (matrix @ x.expand(*batch, n).reshape(-1)).reshape(*batch, m)
        X = x.expand(*batch, n).reshape(columns, blocks * n).mT.contiguous()
        return (matrix @ X).mT.contiguous().reshape(*batch, m)

    def _rmv(self, x: Tensor) -> Tensor:
        return self._kept.get("adjoint", None, self.adjoint)._mv(x)

    def _block_diagonal(self, batch: torch.Size) -> Tensor:
        """The matrices of `batch`, one after the other along the diagonal of one torch matrix."""
        (m, n), count = self.shape, batch.numel()
        values = self.values.detach()
        values = values.reshape(values.shape[max(0, values.ndim - 1 - len(batch)) :])  # without axes of length one
        values = values.expand(*batch, values.shape[-1]).reshape(-1).resolve_conj()
        return _torch_csr(*self.pattern.blocks(count), values, (count * m, count * n))


def _check_index(name: str, index: Tensor, length: int, device: torch.device) -> None:
    if index.dtype not in (torch.int32, torch.int64):
        raise DTypeError(f"{name}s of dtype {index.dtype}: indices are int32 or int64")
    if index.device != device:
        raise DeviceError(f"{name}s on {index.device}, values on {device}: move them to one device")
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < length:
        raise PatternError(
            f"{name}s run from {int(index.min())} to {int(index.max())} in a matrix of {length} {name}s: indices count "
            "from 0, and shape is (rows, columns)"
        )


def _shared(index: Tensor) -> Tensor:
    """The indices ``(*batch, k)`` that all matrices of a batch share."""
    if index.ndim == 1:
        return index
    rows = index.flatten(0, -2)
    if rows.shape[0] == 0 or not bool((rows == rows[0]).all()):
        raise PatternError(
            f"batch {tuple(index.shape[:-1])} of torch matrices: expected one pattern for all of them; use "
            "BlockDiagonalOperator for several"
        )
    return rows[0]


def _torch_csr(crow: Tensor, col: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(crow, col, values, shape, check_invariants=False)
