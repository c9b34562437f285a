"""Matrices with all their entries."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import DTYPES, LinearOperator, closed

__all__ = ["DenseOperator"]


class DenseOperator(LinearOperator):
    """A batch of dense matrices.

    Parameters
    ----------
    matrix
        ``(*batch, m, n)``, real or complex; the differentiable parameter.
    tags
        What is known of the matrix: "symmetric", "spd".

    Raises
    ------
    ShapeError, DTypeError

    Examples
    --------
    >>> import torch
    >>> A = DenseOperator(torch.tensor([[2.0, -1.0], [-1.0, 2.0]]), tags={"spd"})
    >>> A @ torch.tensor([1.0, 2.0])
    tensor([0., 3.])
    """

    def __init__(self, matrix: Tensor, tags: Iterable[str] = ()) -> None:
        if matrix.ndim < 2:
            raise ShapeError(f"matrix {tuple(matrix.shape)}: expected (*batch, m, n)")
        if matrix.dtype not in DTYPES:
            raise DTypeError(f"matrix of dtype {matrix.dtype}: expected {', '.join(map(str, DTYPES))}")
        self.matrix, self.tags = matrix, closed(tags)

    @property
    def shape(self) -> tuple[int, int]:
        m, n = self.matrix.shape[-2:]
        return m, n

    @property
    def batch_shape(self) -> torch.Size:
        return self.matrix.shape[:-2]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.matrix,)

    def parameter_ndim(self, parameter: Tensor) -> int:
        return 2

    def replace(self, parameters: tuple[Tensor, ...]) -> DenseOperator:
        return DenseOperator(parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        if self.batch_shape:
            outer = left.unsqueeze(-1) * right.conj().unsqueeze(-2)
            return (outer.sum_to_size(self.matrix.shape),)
        # One matrix for all vectors: their sum of outer products is a product, too.
        batch = torch.broadcast_shapes(left.shape[:-1], right.shape[:-1])
        u, v = (w.expand(*batch, w.shape[-1]).reshape(batch.numel(), w.shape[-1]) for w in (left, right))
        return (u.mT @ v.conj(),)

    def diagonal(self) -> Tensor:
        return self.matrix.diagonal(dim1=-2, dim2=-1)

    def to_dense(self) -> Tensor:
        return self.matrix

    def to_csr(self) -> CSROperator:
        """The nonzero entries: one pattern for the batch, the union."""
        return CSROperator.from_dense(self.matrix, self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        return _multiply(self.matrix, x)

    def _rmv(self, x: Tensor) -> Tensor:
        return _multiply(self.matrix.mH, x)


def _multiply(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix @ x.unsqueeze(-1)).squeeze(-1) if matrix.ndim > 2 else x @ matrix.mT
