"""The stationarity of rows that bring their derivatives, as the implicit function theorem needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.errors import SolveError
from solvers.implicit import Equation
from solvers.nonlinear.residual_function import ResidualFunction
from solvers.operators.dense import DenseOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["ResidualEquation", "residual_equation"]

#: The matrix of the adjoint system at x and θ.
Matrix = Callable[..., Tensor]


@dataclass(frozen=True)
class ResidualEquation(Equation):
    """Jᵀr = 0 in closed form, differentiable once."""

    r: ResidualFunction
    matrix: Matrix

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        with torch.no_grad():
            return DenseOperator(self.matrix(x, *parameters), {"symmetric"})

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise SolveError(
                f"{type(self.r).__name__}: second derivatives of a least-squares solution whose rows bring their "
                "derivatives are not there; leave out create_graph=True, or write the rows as a plain function"
            )
        return self.r.pullback(left, x, parameters, wanted)

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        raise SolveError(
            f"{type(self.r).__name__}: forward-mode derivatives of a least-squares solution whose rows bring their "
            "derivatives are not there; differentiate backward, or write the rows as a plain function"
        )


def residual_equation(r: ResidualFunction, adjoint: str) -> ResidualEquation:
    """With the exact Hessian, or with that of Gauss and Newton."""
    return ResidualEquation(r, r.hessian if adjoint == "exact" else _gauss_newton(r))


def _gauss_newton(r: ResidualFunction) -> Matrix:
    def matrix(x: Tensor, *parameters: Tensor) -> Tensor:
        return r.normal_equations(x, r(x, *parameters), *parameters)[0]

    return matrix
