"""Many products with one sparse matrix, without setting it up for each."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from solvers.operators.composed import AdjointOperator
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import adjoint

__all__ = ["Products", "product_of"]


class Products:
    """x ↦ A x for a CSR matrix whose values stay as they are.

    The block-diagonal torch matrix of a batch is built at the first product of a batch shape and kept for the next;
    on small levels of a multigrid hierarchy building it would take longer than the product.
    """

    def __init__(self, A: CSROperator) -> None:
        self.A = CSROperator.from_pattern(A.pattern, A.values.detach(), A.tags)
        self._batch: torch.Size | None = None
        self._matrix: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """A x for ``(*batch, n)``, whose batch axes cover those of A."""
        batch = x.shape[:-1]
        if self._matrix is None or self._batch != batch:
            self._batch, self._matrix = batch, self._block_diagonal(batch)
        return (self._matrix @ x.reshape(-1)).reshape(*batch, self.A.shape[0])

    @property
    def H(self) -> Products:
        """Products with Aᴴ."""
        transposed = adjoint(self.A)
        return self if transposed is self.A else Products(transposed)

    def _block_diagonal(self, batch: torch.Size) -> Tensor:
        (m, n), count = self.A.shape, batch.numel()
        crow, col = self.A.pattern.blocks(count)
        values = self.A.values.expand(*batch, -1).reshape(-1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(crow, col, values, (count * m, count * n), check_invariants=False)


def product_of(A: LinearOperator) -> Callable[[Tensor], Tensor]:
    """The quickest x ↦ A x for an operator that stays as it is."""
    if isinstance(A, CSROperator):
        return Products(A)
    if isinstance(A, AdjointOperator) and isinstance(A.operator, CSROperator):
        return Products(adjoint(A.operator))
    return A.mv
