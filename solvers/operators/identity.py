"""The identity."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.diagonal import DiagonalOperator
from solvers.operators.linear_operator import DTYPES, LinearOperator

__all__ = ["IdentityOperator"]


class IdentityOperator(LinearOperator):
    """The n × n identity, without parameters: for shifts ``A + c * IdentityOperator(n, A.dtype, A.device)``.

    Parameters
    ----------
    n
        Number of unknowns.
    dtype, device
        Of the vectors.

    Raises
    ------
    ShapeError, DTypeError

    Examples
    --------
    >>> import torch
    >>> (3 * IdentityOperator(2, torch.float64)).to_dense()
    tensor([[3., 0.],
            [0., 3.]], dtype=torch.float64)
    """

    tags = frozenset({"symmetric", "spd"})

    def __init__(self, n: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
        if n < 0:
            raise ShapeError(f"n = {n}: expected a number of unknowns")
        if dtype not in DTYPES:
            raise DTypeError(f"dtype {dtype}: expected {', '.join(map(str, DTYPES))}")
        # The device as tensors name theirs: "cuda" is "cuda:0".
        self.n, self._sample = n, torch.empty(0, dtype=dtype, device=device)

    @property
    def shape(self) -> tuple[int, int]:
        return self.n, self.n

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    @property
    def dtype(self) -> torch.dtype:
        return self._sample.dtype

    @property
    def device(self) -> torch.device:
        return self._sample.device

    def parameters(self) -> tuple[Tensor, ...]:
        return ()

    def replace(self, parameters: tuple[Tensor, ...]) -> Self:
        return self

    def to(self, target: torch.dtype | torch.device | str) -> Self:
        super().to(target)
        sample = self._sample.to(target)
        return type(self)(self.n, sample.dtype, sample.device)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return ()

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def diagonal(self) -> Tensor:
        return torch.ones(self.n, dtype=self.dtype, device=self.device)

    def to_csr(self) -> CSROperator:
        """The same matrix with stored entries."""
        return DiagonalOperator(self.diagonal(), self.tags).to_csr()

    def _mv(self, x: Tensor) -> Tensor:
        return x.clone()

    def _rmv(self, x: Tensor) -> Tensor:
        return x.clone()
