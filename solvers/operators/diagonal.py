"""Diagonal matrices."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import DTYPES, LinearOperator, closed

__all__ = ["DiagonalOperator"]


class DiagonalOperator(LinearOperator):
    """diag(d) for a batch of diagonals; symmetric, if real.

    Parameters
    ----------
    values
        d, ``(*batch, n)``, real or complex; the differentiable parameter.
    tags
        What else is known: "spd" for a positive diagonal.

    Raises
    ------
    ShapeError, DTypeError

    Examples
    --------
    >>> import torch
    >>> DiagonalOperator(torch.tensor([1.0, 2.0]), tags={"spd"}) @ torch.tensor([3.0, 4.0])
    tensor([3., 8.])
    """

    def __init__(self, values: Tensor, tags: Iterable[str] = ()) -> None:
        if values.ndim == 0:
            raise ShapeError("values (): expected (*batch, n); c · I is c * IdentityOperator(n, dtype)")
        if values.dtype not in DTYPES:
            raise DTypeError(f"values of dtype {values.dtype}: expected {', '.join(map(str, DTYPES))}")
        self.values = values
        self.tags = closed(tags) | (frozenset() if values.dtype.is_complex else {"symmetric"})

    @property
    def shape(self) -> tuple[int, int]:
        n = self.values.shape[-1]
        return n, n

    @property
    def batch_shape(self) -> torch.Size:
        return self.values.shape[:-1]

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def replace(self, parameters: tuple[Tensor, ...]) -> DiagonalOperator:
        return DiagonalOperator(parameters[0], self.tags)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return ((left * right.conj()).sum_to_size(self.values.shape),)

    def diagonal(self) -> Tensor:
        return self.values

    def to_csr(self) -> CSROperator:
        """The same matrices with one stored entry a row."""
        n = self.shape[0]
        index = torch.arange(n + 1, dtype=torch.int32, device=self.device)
        return CSROperator(index, index[:n], self.values, self.shape, self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        return self.values * x

    def _rmv(self, x: Tensor) -> Tensor:
        return self.values.conj() * x
