"""What the preconditioners of this package share: vectors are checked, broadcast, and kept in the range of A."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator

__all__ = ["ProjectedInverse"]


class ProjectedInverse(Inverse):
    """z = P M r, with P the orthogonal projection onto the range of A (the identity, if A is regular).

    A subclass implements `apply` for r that has been checked; no gradient flows through it.
    """

    def __init__(self, A: LinearOperator) -> None:
        self.operator = A

    @abstractmethod
    def apply(self, r: Tensor) -> Tensor:
        """M r for ``(*batch, n)`` whose batch axes cover A's."""

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        A = self.operator
        A.check_vector(r, A.shape[0])
        r = A.project(r).expand(*torch.broadcast_shapes(A.batch_shape, r.shape[:-1]), r.shape[-1])
        return A.project(self.apply(r))
