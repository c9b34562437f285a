"""How the Jacobians of a least-squares problem are factored: by rotations, or by their normal equations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import DTypeError
from solvers.nonlinear.linear_model import LinearModel
from solvers.nonlinear.spectral_model import SpectralModel, SquaredModel

__all__ = ["Factorisation", "NormalEquations", "Orthogonal"]


class Factorisation(ABC):
    """A way to solve the linear problems of Gauss–Newton and Levenberg–Marquardt."""

    @abstractmethod
    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        """The linear problem of J ``(*batch, m, n)`` and r ``(*batch, m)``; arguments as in `LinearModel`."""


@dataclass(frozen=True)
class Orthogonal(Factorisation):
    """J = Q R, R = U Σ Vᵀ: no condition number is squared, every precision keeps its digits."""

    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        return SpectralModel(J, r, size, scale)


@dataclass(frozen=True)
class NormalEquations(Factorisation):
    """JᵀJ = V Σ² Vᵀ: one product of matrices instead of m n² rotations, in double precision only.

    Condition numbers up to about 1e6 are seen; above 1e7 the weakest directions are left where they are. Steps are
    refined by the iteration around them, whose gradient Jᵀr is not squared.

    Raises
    ------
    DTypeError
        J is in single precision, of which squaring leaves nothing.
    """

    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        if J.dtype != torch.float64:
            raise DTypeError(
                f"NormalEquations: the Jacobian has dtype {J.dtype}, expected float64, because squaring loses half of "
                "its digits; convert the residual, or use Orthogonal()"
            )
        return SquaredModel(J, r, size, scale)
