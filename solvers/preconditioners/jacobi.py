"""Division by the diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import nonzero_diagonal
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["Jacobi", "JacobiInverse"]


@dataclass(frozen=True)
class Jacobi:
    """M = D⁻¹, with D the diagonal of A: makes a system insensitive to the scaling of its rows.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator
    >>> A = CSROperator.from_dense(torch.tensor([[4.0, 1.0], [1.0, 2.0]]), tags={"spd"})
    >>> Jacobi().setup(A)(torch.tensor([4.0, 4.0]))
    tensor([1., 2.])
    """

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> JacobiInverse:
        """Invert the diagonal of every system.

        Raises
        ------
        PatternError
            A diagonal entry is zero.
        """
        diagonal = nonzero_diagonal(A, "Jacobi")
        positive = bool((diagonal.abs() == diagonal).all())
        return JacobiInverse(A, 1 / diagonal, "spd" in A.tags or positive)


class JacobiInverse(ProjectedInverse):
    """z = D⁻¹ r."""

    def __init__(self, A: LinearOperator, inverse: Tensor, is_spd: bool) -> None:
        super().__init__(A)
        self.inverse, self.is_spd = inverse, is_spd

    @property
    def H(self) -> JacobiInverse:
        return self if self.is_spd else JacobiInverse(self.operator.H, self.inverse.conj(), False)

    def apply(self, r: Tensor) -> Tensor:
        return self.inverse * r
