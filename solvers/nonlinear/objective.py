"""Functions to be minimised: value, gradient and Hessian of one number a system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.nonlinear.jacobian import BatchedFunction, JacobianOperator, vjp
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import variables

__all__ = ["HessianOperator", "Objective", "as_objective", "bound_objective"]


class HessianOperator(JacobianOperator):
    """∇²F at (x, θ) of a convex F, from its gradient: symmetric, so that a product costs one pass backward."""

    def __init__(
        self,
        gradient: BatchedFunction,
        x: Tensor,
        parameters: tuple[Tensor, ...] = (),
        tags: frozenset[str] | None = None,
    ) -> None:
        super().__init__(gradient, x, parameters, frozenset({"symmetric", "spd"}) if tags is None else tags)

    def replace(self, parameters: tuple[Tensor, ...]) -> HessianOperator:
        x, *theta = parameters
        return HessianOperator(self.function, x, tuple(theta), self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        return self._rmv(x)


class Objective(ABC):
    """F(x, θ) that brings its gradient, for instance in closed form.

    Examples
    --------
    >>> import torch
    >>> from solvers.nonlinear import minimize
    >>> class LogSumExp(Objective):
    ...     def value_and_gradient(self, x, *parameters):
    ...         return torch.logsumexp(x, -1) + x.square().sum(-1) / 2, self.gradient(x)
    ...
    ...     def gradient(self, x, *parameters):
    ...         return torch.softmax(x, -1) + x
    >>> minimize(LogSumExp(), torch.ones(1, 4, dtype=torch.float64)).value
    tensor([[-0.2500, -0.2500, -0.2500, -0.2500]], dtype=torch.float64)
    """

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """F at x ``(*batch, n)``: ``(*batch)``."""
        return self.value_and_gradient(x, *parameters)[0]

    @abstractmethod
    def value_and_gradient(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """F ``(*batch)`` and ∇F ``(*batch, n)``."""

    @abstractmethod
    def gradient(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """∇F, ``(*batch, n)``, written in torch operations that autograd follows in x and in the parameters."""

    def hessian(self, x: Tensor, *parameters: Tensor) -> LinearOperator:
        """∇²F at x, by differentiating the gradient; override it where products are known in closed form."""
        return HessianOperator(self.gradient, x, parameters)


def as_objective(f: BatchedFunction) -> Objective:
    """F itself where it brings its gradient; otherwise with the gradient by automatic differentiation."""
    return f if isinstance(f, Objective) else _Differentiated(f)


def bound_objective(f: Objective, parameters: tuple[Tensor, ...]) -> Objective:
    """The function x ↦ F(x, *parameters)."""
    return _Bound(f, parameters)


@dataclass(frozen=True)
class _Differentiated(Objective):
    f: Callable[..., Tensor]

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.f(x, *parameters)

    def value_and_gradient(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            (at,) = variables((x,))
            value = self.f(at, *parameters)
            (slope,) = vjp(value, (at,), torch.ones_like(value), create_graph=again)
        return (value if again else value.detach()), slope

    def gradient(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.value_and_gradient(x, *parameters)[1]


@dataclass(frozen=True)
class _Bound(Objective):
    f: Objective
    parameters: tuple[Tensor, ...]

    def value_and_gradient(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.f.value_and_gradient(x, *self.parameters)

    def gradient(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self.f.gradient(x, *self.parameters)

    def hessian(self, x: Tensor, *parameters: Tensor) -> LinearOperator:
        return self.f.hessian(x, *self.parameters)
