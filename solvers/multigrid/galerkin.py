"""The entries of R A P as a linear function of the entries of A: for batches, for new values, for derivatives."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.csr import CSROperator, CSRPattern

__all__ = ["GalerkinMap"]


class GalerkinMap:
    """values of A ↦ values of R A P, for every matrix on one pattern, with fixed R and P.

    The map is linear; it is stored as two sparse matrices, one for A ↦ A P and one for X ↦ R X, and applied to a batch
    of values at once. Differentiable in the values any number of times.

    Parameters
    ----------
    pattern
        Of A, ``(m, n)``.
    R, P
        Restriction ``(m_c, m)`` and interpolation ``(n, n_c)``, without batch, detached.

    Attributes
    ----------
    pattern
        Of R A P, ``(m_c, n_c)``: every entry that can be different from zero.

    Raises
    ------
    ShapeError
        The shapes do not fit, or R or P are batches.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]))
    >>> P = CSROperator.from_dense(torch.tensor([[1.0], [1.0]]))
    >>> R = CSROperator.from_dense(torch.tensor([[1.0, 1.0]]))
    >>> GalerkinMap(A.pattern, R, P)(A.values)  # 2 − 1 − 1 + 2
    tensor([2.])
    """

    def __init__(self, pattern: CSRPattern, R: CSROperator, P: CSROperator) -> None:
        if R.shape[1] != pattern.shape[0] or P.shape[0] != pattern.shape[1]:
            raise ShapeError(f"R {R.shape}, A {pattern.shape} and P {P.shape} cannot be multiplied")
        if R.batch_shape or P.batch_shape:
            raise ShapeError(f"R and P of batch {R.batch_shape}, {P.batch_shape}: one of each serves all matrices")
        self._source = pattern.col.numel()
        # (A P)_ic = Σ_j A_ij P_jc: the entry (i, j) of A meets row j of P.
        entry, factor = _meetings(pattern.column, P.pattern)
        row, column, weight = pattern.row[entry], P.pattern.column[factor], P.values[factor]
        middle, right = _map(row, column, (pattern.shape[0], P.shape[1]), entry, weight, self._source)
        # (R X)_cd = Σ_i R_ci X_id: the entry (i, d) of X meets column i of R.
        R_columns, order = R.pattern.transposed
        entry, factor = _meetings(middle.row, R_columns)
        row, column, weight = R_columns.column[factor], middle.column[entry], R.values[order][factor]
        self.pattern, left = _map(row, column, (R.shape[0], P.shape[1]), entry, weight, middle.col.numel())
        self._maps = right, left

    def __call__(self, values: Tensor) -> Tensor:
        """Values ``(*batch, nnz(A)) -> (*batch, nnz(R A P))``.

        Raises
        ------
        ShapeError
            The last axis is not that of A's entries.
        """
        if values.shape[-1:] != (self._source,):
            raise ShapeError(
                f"values {tuple(values.shape)}: the pattern has {self._source} entries; expected (*batch, nnz)"
            )
        columns = values.reshape(values.shape[:-1].numel(), self._source).mT
        for matrix in self._maps:
            columns = matrix @ columns
        return columns.mT.reshape(*values.shape[:-1], self.pattern.col.numel())


def _meetings(key: Tensor, rows: CSRPattern) -> tuple[Tensor, Tensor]:
    """All pairs (e, f) where the entry f lies in the row key[e]."""
    start, counts = rows.crow[:-1].long(), (rows.crow[1:] - rows.crow[:-1]).long()[key]
    first = torch.arange(key.numel(), device=key.device).repeat_interleave(counts)
    offset = torch.arange(first.numel(), device=key.device) - (counts.cumsum(0) - counts)[first]
    return first, start[key[first]] + offset


def _map(
    row: Tensor, column: Tensor, shape: tuple[int, int], source: Tensor, weight: Tensor, sources: int
) -> tuple[CSRPattern, Tensor]:
    """The pattern with these (repeated) places, and the matrix that sums weight · source into each of its entries."""
    keys, order = torch.sort(row * shape[1] + column, stable=True)
    keys, counts = torch.unique_consecutive(keys, return_counts=True)
    starts = torch.searchsorted(keys, torch.arange(shape[0] + 1, device=keys.device) * shape[1])
    # Stable: sources stay in rising order within an entry of the product.
    collect = CSRPattern(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), source[order], (keys.numel(), sources))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(
            collect.crow, collect.col, weight.detach()[order], collect.shape, check_invariants=False
        )
    return CSRPattern(starts, keys % max(shape[1], 1), shape), matrix
