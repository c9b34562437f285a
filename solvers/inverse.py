"""What a set-up produces: an (approximate) inverse that is applied to residuals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor

from solvers.errors import TagError
from solvers.operators.linear_operator import LinearOperator

__all__ = ["Inverse", "Preconditioner"]


class Inverse(ABC):
    """z = M r with M ≈ A⁻¹, for every system of the batch; no gradient flows through it.

    A multigrid hierarchy, an incomplete factor, the exact factor of a direct solver: to a solver they are the same.
    """

    #: M is a linear map; otherwise only flexible methods may use it.
    is_linear: bool = True
    #: M is Hermitian positive definite whenever A is: what CG and MINRES ask of it.
    is_spd: bool = False

    @abstractmethod
    def __call__(self, r: Tensor) -> Tensor:
        """M r for flat vectors ``(*batch, n)`` of the operator's dtype."""

    @property
    def H(self) -> Inverse:
        """Mᴴ ≈ A⁻ᴴ, for the solve with the adjoint operator.

        Raises
        ------
        TagError
            M does not know its adjoint.
        """
        if self.is_spd:
            return self
        raise TagError(
            f"{type(self).__name__} has no adjoint, which the derivative of this solve needs: give linear_solve an "
            "adjoint_solver with no preconditioner, or another preconditioner"
        )


class Preconditioner(Protocol):
    """A recipe for an approximate inverse: `setup` builds it for one (batch of) operators."""

    def setup(self, A: LinearOperator) -> Inverse: ...
