"""The equations that a root and a least-squares solution satisfy, as the implicit function theorem needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.implicit import Equation
from solvers.nonlinear.jacobian import BatchedFunction, JacobianOperator, vjp
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import variables

__all__ = ["GaussNewtonEquation", "RootEquation", "StationaryEquation", "gradient"]


@dataclass(frozen=True)
class RootEquation(Equation):
    """f(x, θ) = 0."""

    f: BatchedFunction

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        return JacobianOperator(self.f, x, parameters)

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            theta = variables(parameters)
            chosen = tuple(t for t, want in zip(theta, wanted, strict=True) if want)
            gradients = iter(vjp(self.f(x, *theta), chosen, left, create_graph=again))
        return tuple(next(gradients) if want else None for want in wanted)

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            theta = variables(parameters)
            y = self.f(x, *theta)
            u = torch.zeros_like(y).requires_grad_()
            slopes = vjp(y, theta, u, create_graph=True)
            # ⟨u, ∂f/∂θ θ̇⟩ is linear in u.
            parts = [(s * t).sum() for s, t in zip(slopes, tangents, strict=True) if t is not None]
            slope = torch.stack(parts).sum()
            return vjp(slope, (u,), slope.new_ones(()), create_graph=again)[0]


@dataclass(frozen=True)
class StationaryEquation(Equation):
    """Jᵀ r = 0, the gradient of ½‖r(x, θ)‖²; its Jacobian is the exact Hessian JᵀJ + Σᵢ rᵢ ∇²rᵢ."""

    r: BatchedFunction

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        return JacobianOperator(gradient(self.r), x, parameters, frozenset({"symmetric"}))

    def pullback(
        self, left: Tensor, x: Tensor, parameters: tuple[Tensor, ...], wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        return RootEquation(gradient(self.r)).pullback(left, x, parameters, wanted)

    def pushforward(self, tangents: Sequence[Tensor | None], x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        return RootEquation(gradient(self.r)).pushforward(tangents, x, parameters)


class GaussNewtonEquation(StationaryEquation):
    """Jᵀ r = 0 with JᵀJ for the Hessian: exact where r vanishes."""

    def jacobian(self, x: Tensor, parameters: tuple[Tensor, ...]) -> LinearOperator:
        J = JacobianOperator(self.r, x, parameters)
        return J.H @ J


def gradient(r: BatchedFunction) -> BatchedFunction:
    """The function (x, θ) ↦ Jᵀ r, differentiable."""

    def pulled(x: Tensor, *theta: Tensor) -> Tensor:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            (at,) = variables((x,))
            y = r(at, *theta)
            return vjp(y, (at,), y, create_graph=again)[0]

    return pulled
