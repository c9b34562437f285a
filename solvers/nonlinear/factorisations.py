"""How the Jacobians of a least-squares problem are factored: by rotations, or by their normal equations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import DTypeError
from solvers.nonlinear.jacobian import BatchedFunction
from solvers.nonlinear.linear_model import LinearModel, ScaledRows
from solvers.nonlinear.linearisation import Linearisation, RowsLinearised, SquaresLinearised
from solvers.nonlinear.residual_function import ResidualFunction, jacobian_operator
from solvers.nonlinear.spectral_model import by_normal_equations, by_rotations

__all__ = ["Factorisation", "NormalEquations", "Orthogonal"]


class Factorisation(ABC):
    """A way to solve the linear problems of Gauss–Newton and Levenberg–Marquardt."""

    @abstractmethod
    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        """The linear problem of J ``(*batch, m, n)``, finite, and r ``(*batch, m)``; ‖r‖ and D as in `LinearModel`."""

    def linearisation(self, function: BatchedFunction, x: Tensor, r: Tensor) -> Linearisation:
        """What this factorisation needs of the function near x, where its value is r."""
        return RowsLinearised(jacobian_operator(function, x).to_dense(), r, self.model)


@dataclass(frozen=True)
class Orthogonal(Factorisation):
    """J = Q R, R = U Σ Vᵀ: no condition number is squared, every precision keeps its digits."""

    def model(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> LinearModel:
        return by_rotations(ScaledRows.of(J, r, size, scale), size, scale)


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
        _require_double(J)
        rows = ScaledRows.of(J, r, size, scale)
        return by_normal_equations(rows.matrix.mT @ rows.matrix, rows.slopes, rows.lengths, size, scale)

    def linearisation(self, function: BatchedFunction, x: Tensor, r: Tensor) -> Linearisation:
        """A `ResidualFunction` is asked for JᵀJ and Jᵀr alone."""
        _require_double(r)
        if isinstance(function, ResidualFunction):
            return SquaresLinearised(function, x, r)
        return super().linearisation(function, x, r)


def _require_double(rows: Tensor) -> None:
    if rows.dtype != torch.float64:
        raise DTypeError(
            f"NormalEquations: the Jacobian has dtype {rows.dtype}, expected float64, because squaring loses half of "
            "its digits; convert the residual, or use Orthogonal()"
        )
