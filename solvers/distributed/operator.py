"""What distributed operators share: vectors are local parts, scalars are those of the whole system."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from solvers.distributed.partition import Partition
from solvers.distributed.reductions import all_sum, everywhere, largest
from solvers.errors import ShapeError
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["DistributedOperator"]


class DistributedOperator(LinearOperator):
    """A square operator whose rows, and the vectors with them, are split over the processes of a group.

    Every process holds its part ``(*batch, count)`` of a vector and calls every method with it, in the same order.
    Inner products and norms are those of the whole vectors, the same number on all processes, so that a solver takes
    the same decisions everywhere. Derivatives are those of the sum of the losses of all processes: each of them calls
    ``backward``, even one whose own loss is zero.
    """

    #: Of the unknowns.
    partition: Partition

    @abstractmethod
    def local_block(self) -> CSROperator:
        """The rows and columns that this process owns: a principal submatrix, symmetric or definite if A is."""

    @property
    def shape(self) -> tuple[int, int]:
        """(count, count) of the local parts; `global_shape` is that of the matrix."""
        return self.partition.count, self.partition.count

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.partition.total, self.partition.total

    @property
    def is_distributed(self) -> bool:
        return True

    def scatter(self, x: Tensor) -> Tensor:
        """This process's part of a vector ``(*batch, total)`` that every process holds."""
        return self.partition.scatter(x)

    def gather(self, x: Tensor) -> Tensor:
        """The whole vector, on every process; differentiable (see `Partition.gather`)."""
        return self.partition.gather(x)

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        return self.inners((u, v))[0]

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        local = [torch.linalg.vecdot(u, v).unsqueeze(-1) for u, v in pairs]
        totals = all_sum(torch.cat([part.reshape(-1) for part in local]), self.partition.group)
        split = totals.split([part.numel() for part in local])
        return tuple(total.reshape(part.shape) for total, part in zip(split, local, strict=True))

    def inner_basis(self, basis: Tensor, v: Tensor) -> Tensor:
        return all_sum(super().inner_basis(basis, v), self.partition.group)

    def largest(self, x: Tensor) -> Tensor:
        return largest(super().largest(x), self.partition.group)

    def is_finite(self) -> Tensor:
        return everywhere(super().is_finite(), self.partition.group)

    def to_dense(self) -> Tensor:
        """No process has the whole matrix: raises ShapeError."""
        n = self.partition.total
        raise ShapeError(
            f"{type(self).__name__}: this process holds {self.partition.count} of {n} rows, not a dense {n} × {n} "
            "matrix; use local_block().to_dense(), or a Krylov method instead of a dense solver"
        )

    @property
    def contents(self) -> str:
        return f"rows from {self.partition.begin} of {self.partition.total}, "
