"""The implicit function theorem, once: how a solution depends on what defines it, whatever found it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.operators.composed import AdjointOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import is_differentiated, pushed

__all__ = ["Equation", "Solve", "attach", "solve_differentiably"]

#: ``solve(A, b, flipped)`` computes A⁻¹ b outside of autograd; `flipped` says that A is the adjoint of the operator of
#: the first solve.
Solve = Callable[[LinearOperator, Tensor, bool], Tensor]


class Equation(ABC):
    """F(x, θ) = 0 with a regular ∂F/∂x: what must be known of it to differentiate its solution x(θ)."""

    @abstractmethod
    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        """∂F/∂x at (x, θ)."""

    @abstractmethod
    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Partial gradient of ⟨left, F(x, θ)⟩ with respect to each wanted parameter, itself differentiable."""

    @abstractmethod
    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """∂F/∂θ θ̇ at (x, θ), where missing tangents are zero; itself differentiable."""


def attach(
    x: Tensor, equation: Equation, parameters: tuple[Tensor, ...], again: Solve, flipped: bool = False
) -> Tensor:
    """The solution x of F(x, θ) = 0, differentiable any number of times in θ, also in forward mode.

    With the cotangent g: solve (∂F/∂x)ᴴ λ = g; the gradient is −∂⟨λ, F(x, θ)⟩/∂θ. Memory does not depend on how x was
    found. The adjoint solve is differentiable by the same rule. In forward mode ẋ = −(∂F/∂x)⁻¹ ∂F/∂θ θ̇.

    Parameters
    ----------
    x
        The solution, found outside of autograd.
    again
        Solves every linear system that differentiation asks for: with (∂F/∂x)ᴴ, and ∂F/∂x for second derivatives.
    """
    attached: Tensor = _Implicit.apply(_Derivatives(equation, again, flipped), x, *parameters)
    return attached


def solve_differentiably(A: LinearOperator, b: Tensor, forward: Solve, again: Solve, flipped: bool = False) -> Tensor:
    """x = A⁻¹ b, differentiable any number of times in b and in A's parameters, also in forward mode.

    The implicit function theorem for A(θ) x − b = 0: with Aᴴ λ = g, ∂/∂b = λ and ∂/∂θ = −∂⟨λ, A(θ) x⟩/∂θ.

    Parameters
    ----------
    forward
        Computes the solution of the given system.
    again
        The same for every system that differentiation asks for: Aᴴ λ = g, and A again for second derivatives.
    """
    parameters = (b, *A.parameters())
    with torch.no_grad():
        _, *theta = (p.detach() for p in parameters)
        x = forward(A.replace(tuple(theta)), b.detach(), flipped)
    return attach(x, _LinearEquation(A), parameters, again, flipped)


@dataclass(frozen=True)
class _LinearEquation(Equation):
    """A(θ) x − b = 0 with the parameters (b, *θ)."""

    A: LinearOperator

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        return self.A.replace(parameters[1:])

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        if not any(wanted[1:]):
            return -left, *(None for _ in wanted[1:])
        return -left, *self.A.replace(parameters[1:]).pullback(left, x)

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        b_dot, *theta_dot = tangents
        # `pushed` without ẋ is A' x alone.
        moved = pushed(self.A.replace(parameters[1:]), None, theta_dot, x)
        return (moved if b_dot is None else moved - b_dot).expand_as(x)


@dataclass(frozen=True)
class _Derivatives:
    equation: Equation
    again: Solve
    flipped: bool


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, derivatives: _Derivatives, x: Tensor, *parameters: Tensor) -> Tensor:
        x = x.detach()
        ctx.derivatives = derivatives
        ctx.save_for_backward(x, *parameters)
        ctx.save_for_forward(x, *parameters)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, *theta = ctx.saved_tensors
        parameters, equation, again = tuple(theta), ctx.derivatives.equation, ctx.derivatives.again
        A = equation.jacobian(x, parameters)
        adjoint = _adjoint(A)
        flipped = ctx.derivatives.flipped if adjoint is A else not ctx.derivatives.flipped
        multiplier = solve_differentiably(adjoint, g, again, again, flipped)
        return None, None, *equation.pullback(-multiplier, x, parameters, ctx.needs_input_grad[2:])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        x, *theta = ctx.saved_tensors
        parameters, equation, again = tuple(theta), ctx.derivatives.equation, ctx.derivatives.again
        rhs = -equation.pushforward(tangents[2:], x, parameters)
        return solve_differentiably(equation.jacobian(x, parameters), rhs, again, again, ctx.derivatives.flipped)


def _adjoint(A: LinearOperator) -> LinearOperator:
    """Aᴴ, also as a function of parameters that change entry by entry, where second derivatives are wanted.

    A matrix that is symmetric now need not stay so: ∂²x/∂Aᵢⱼ∂Aₖₗ is not what A⁻¹ instead of A⁻ᴴ would give.
    """
    if A.stays_symmetric or not is_differentiated(*A.parameters()):
        return A.H
    return AdjointOperator(A)
