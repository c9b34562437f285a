"""A V-cycle over sparse matrices: what an algebraic hierarchy does with a residual, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.chebyshev import ChebyshevInverse
from solvers.preconditioners.products import Products
from solvers.preconditioners.projected import ProjectedInverse
from solvers.preconditioners.ssor import SSORInverse

__all__ = ["CycleLevel", "DenseInverse", "VCycle"]


@dataclass(frozen=True)
class CycleLevel:
    """A level that has a coarser one: its matrices, one smoothing step z = S r, restriction and interpolation."""

    product: Products
    smoother: ChebyshevInverse | SSORInverse
    restrict: Products
    interpolate: Products

    @property
    def H(self) -> CycleLevel:
        return CycleLevel(self.product.H, self.smoother.H, self.interpolate.H, self.restrict.H)


class VCycle(ProjectedInverse):
    """One V-cycle from zero: smooth, correct from the coarser level, smooth again.

    With a Hermitian smoother and R = Pᴴ the cycle is Hermitian; it is positive definite if the smoother converges.
    """

    def __init__(
        self,
        A: LinearOperator,
        levels: Sequence[CycleLevel],
        coarsest: DenseInverse | ChebyshevInverse | SSORInverse,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(A)
        self.levels, self.coarsest, self.dtype = tuple(levels), coarsest, dtype
        self.is_spd = "spd" in A.tags

    @property
    def H(self) -> VCycle:
        if "symmetric" in self.operator.tags:
            return self
        return VCycle(self.operator.H, [level.H for level in self.levels], self.coarsest.H, self.dtype)

    def apply(self, r: Tensor) -> Tensor:
        return self._correct(0, r.to(self.dtype)).to(r.dtype)

    def _correct(self, number: int, r: Tensor) -> Tensor:
        """The cycle from level `number` downwards."""
        if number == len(self.levels):
            return self.coarsest.apply(r)
        level = self.levels[number]
        z = level.smoother.apply(r)
        coarse = self._correct(number + 1, level.restrict(r - level.product(z)))
        z = z + level.interpolate(coarse)
        return z + level.smoother.apply(r - level.product(z))


class DenseInverse(ProjectedInverse):
    """z = A⁺ r with stored (pseudo-)inverses ``(*batch, n, n)``: for the coarsest level."""

    def __init__(self, A: LinearOperator, inverse: Tensor) -> None:
        super().__init__(A)
        self.inverse = inverse
        self.is_spd = "spd" in A.tags

    @classmethod
    def of(cls, A: CSROperator) -> DenseInverse:
        """The pseudo-inverse, which also serves singular matrices: eigenvalues below rounding count as zero."""
        symmetric = "symmetric" in A.tags
        small = 100 * A.shape[0] * torch.finfo(A.dtype).eps
        dense = A.values.new_zeros(*A.batch_shape, *A.shape)
        dense[..., A.pattern.row, A.pattern.column] = A.values
        inverse = torch.linalg.pinv(dense, rtol=small, hermitian=symmetric)
        return cls(A, 0.5 * (inverse + inverse.mH) if symmetric else inverse)

    def to(self, dtype: torch.dtype) -> DenseInverse:
        """In another precision."""
        return DenseInverse(self.operator, self.inverse.to(dtype))

    @property
    def H(self) -> DenseInverse:
        return self if "symmetric" in self.operator.tags else DenseInverse(self.operator.H, self.inverse.mH)

    def apply(self, r: Tensor) -> Tensor:
        return (self.inverse @ r.unsqueeze(-1)).squeeze(-1)
