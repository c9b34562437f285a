"""Functions that bring their own derivatives to nonlinear solvers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.nonlinear.jacobian import BatchedFunction, JacobianOperator
from solvers.operators.dense import DenseOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["FunctionWithJacobian", "ResidualFunction", "bound", "jacobian_operator", "slope_of"]


class FunctionWithJacobian(ABC):
    """f(x, θ) with a dense Jacobian in closed form: no graph is built, a Newton step costs one evaluation of it."""

    @abstractmethod
    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """f at x ``(*batch, n)``: ``(*batch, m)``."""

    @abstractmethod
    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """∂f/∂x, ``(*batch, m, n)``."""


class ResidualFunction(FunctionWithJacobian):
    """Rows r(x, θ) of a least-squares problem that bring their Jacobian, Hessian and adjoint.

    `least_squares` then differentiates once, by closed forms: second derivatives and forward mode are left to plain
    functions.

    Examples
    --------
    >>> import torch
    >>> from solvers.nonlinear import least_squares
    >>> class Line(ResidualFunction):
    ...     def __call__(self, x, A, b):
    ...         return (A @ x.unsqueeze(-1)).squeeze(-1) - b
    ...
    ...     def jacobian(self, x, A, b):
    ...         return A.expand(*x.shape[:-1], *A.shape[-2:])
    ...
    ...     def curvature(self, x, A, b):
    ...         return x.new_zeros(*x.shape, x.shape[-1])
    ...
    ...     def pullback(self, q, x, parameters, wanted):
    ...         A, b = parameters
    ...         r, s = self(x, A, b), (A @ q.unsqueeze(-1)).squeeze(-1)
    ...         return r.unsqueeze(-1) * q.unsqueeze(-2) + s.unsqueeze(-1) * x.unsqueeze(-2), -s
    >>> A = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    >>> b = torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64, requires_grad=True)
    >>> fit = least_squares(Line(), torch.zeros(2, dtype=torch.float64), (A, b)).value
    >>> fit.detach()
    tensor([1., 2.], dtype=torch.float64)
    >>> fit[1].backward()
    >>> b.grad
    tensor([-0.5000, -0.0000,  0.5000], dtype=torch.float64)
    """

    @abstractmethod
    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Σᵢ rᵢ ∇²rᵢ, ``(*batch, n, n)``: what the Hessian of ½‖r‖² is beside JᵀJ."""

    @abstractmethod
    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Gradient of ⟨q, Jᵀr⟩ with respect to each wanted parameter, x and q fixed."""

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """JᵀJ ``(*batch, n, n)`` and Jᵀr ``(*batch, n)`` at x, where r is ``value``; override it where J is dear."""
        J = self.jacobian(x, *parameters)
        return J.mT @ J, (J.mT @ value.unsqueeze(-1)).squeeze(-1)

    def slope(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Jᵀr, the gradient of ½‖r‖², ``(*batch, n)``."""
        return self.normal_equations(x, self(x, *parameters), *parameters)[1]

    def hessian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """JᵀJ + Σᵢ rᵢ ∇²rᵢ, ``(*batch, n, n)``."""
        gram, _ = self.normal_equations(x, self(x, *parameters), *parameters)
        return gram + self.curvature(x, *parameters)


def jacobian_operator(f: BatchedFunction, x: Tensor) -> LinearOperator:
    """∂f/∂x at x: the function's own where it brings one, otherwise by automatic differentiation."""
    if isinstance(f, FunctionWithJacobian):
        return DenseOperator(f.jacobian(x))
    return JacobianOperator(f, x)


def bound(f: BatchedFunction, parameters: tuple[Tensor, ...]) -> Callable[[Tensor], Tensor]:
    """The function x ↦ f(x, *parameters), which keeps what f brings."""
    if isinstance(f, ResidualFunction):
        return _BoundResidual(f, parameters)
    return lambda x: f(x, *parameters)


def slope_of(r: ResidualFunction, unit: Tensor) -> FunctionWithJacobian:
    """The function x ↦ Jᵀr / unit², whose Jacobian is the Hessian."""
    return _Slope(r, unit)


@dataclass(frozen=True)
class _BoundResidual(ResidualFunction):
    r: ResidualFunction
    parameters: tuple[Tensor, ...]

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r(x, *self.parameters)

    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.jacobian(x, *self.parameters)

    def curvature(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.curvature(x, *self.parameters)

    def normal_equations(self, x: Tensor, value: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.r.normal_equations(x, value, *self.parameters)

    def slope(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.slope(x, *self.parameters)

    def hessian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.hessian(x, *self.parameters)

    def pullback(
        self, q: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        return self.r.pullback(q, x, self.parameters, wanted)


@dataclass(frozen=True)
class _Slope(FunctionWithJacobian):
    r: ResidualFunction
    unit: Tensor

    @torch.no_grad()
    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.slope(x) / self.unit.square()

    @torch.no_grad()
    def jacobian(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.r.hessian(x) / self.unit.square().unsqueeze(-1)
