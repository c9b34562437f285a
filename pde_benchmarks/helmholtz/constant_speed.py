"""The inverse of Helmholtz' operator for a constant wave speed: a preconditioner and a first guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from pde_benchmarks.helmholtz.elements import SquareElements
from solvers.inverse import Inverse
from solvers.operators import LinearOperator

__all__ = ["ConstantSpeedInverse"]

# The eigenvalues of the Laplacian lie 4π apart on average (Weyl's law, area one): this moves only those that nearly
# coincide with the shift, where the true wave speed decides and not its mean.
SMOOTHING = 1.0


@dataclass(frozen=True, eq=False)
class ConstantSpeedInverse(Inverse):
    """M = V δ/(|δ|² + ε²) Vᵀ with δ = λᵢ + λⱼ − shift: (K − shift · mass)⁻¹ without its poles, by fast diagonalisation.

    A symmetric linear map: four products of n × n matrices, batched. Gradients pass through it outside of a solve.

    Attributes
    ----------
    elements
        The elements whose K and mass are diagonalised.
    factors
        δ̄/(|δ|² + ε²), ``(*batch, n, n)``, complex for a complex shift.
    """

    elements: SquareElements
    factors: Tensor

    @classmethod
    def of(cls, elements: SquareElements, shift: Tensor) -> Self:
        """The inverse for shifts ``(*batch,)``, real or complex."""
        distance = elements.sums - shift[..., None, None]
        return cls(elements, distance.conj() / (distance.abs().square() + SMOOTHING**2))

    def __call__(self, r: Tensor) -> Tensor:
        return self.elements.synthesised(self.factors * self.elements.analysed(r))

    @property
    def H(self) -> ConstantSpeedInverse:
        return ConstantSpeedInverse(self.elements, self.factors.conj())

    def setup(self, A: LinearOperator) -> ConstantSpeedInverse:
        """Itself: it serves any operator on the same nodes."""
        return self
