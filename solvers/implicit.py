"""The implicit function theorem, once: how a solution depends on what defines it, whatever found it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator, pushed

__all__ = ["Solve", "solve_differentiably"]

#: ``solve(A, b, flipped)`` computes A⁻¹ b outside of autograd; `flipped` says that A is the adjoint of the operator of
#: the first solve.
Solve = Callable[[LinearOperator, Tensor, bool], Tensor]


def solve_differentiably(A: LinearOperator, b: Tensor, forward: Solve, again: Solve, flipped: bool = False) -> Tensor:
    """x = A⁻¹ b, differentiable any number of times in b and in A's parameters, also in forward mode.

    With the cotangent g: solve Aᴴ λ = g; then ∂/∂b = λ and ∂/∂θ = −∂⟨λ, A(θ) x⟩/∂θ, A's pullback, so that memory does
    not depend on the number of iterations. The adjoint solve is differentiable by the same rule.
    In forward mode ẋ = A⁻¹ (ḃ − A'(θ̇) x).

    Parameters
    ----------
    forward
        Computes the solution of the given system.
    again
        The same for every system that differentiation asks for: Aᴴ λ = g, and A again for second derivatives.
    """
    x: Tensor = _Solve.apply(_Problem(A, forward, again, flipped), b, *A.parameters())
    return x


@dataclass(frozen=True)
class _Problem:
    A: LinearOperator
    forward: Solve
    again: Solve
    flipped: bool


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: _Problem, b: Tensor, *parameters: Tensor) -> Tensor:
        A = problem.A.replace(tuple(p.detach() for p in parameters))
        x = problem.forward(A, b.detach(), problem.flipped)
        ctx.problem = problem
        ctx.save_for_backward(x, *parameters)
        ctx.save_for_forward(x, *parameters)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, *parameters = ctx.saved_tensors
        A, problem = ctx.problem.A.replace(tuple(parameters)), ctx.problem
        adjoint = A.H
        flipped = problem.flipped if adjoint is A else not problem.flipped
        multiplier = solve_differentiably(adjoint, g, problem.again, problem.again, flipped)
        if not any(ctx.needs_input_grad[2:]):
            return None, multiplier, *(None for _ in parameters)
        return None, multiplier, *A.pullback(-multiplier, x)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        _, b_dot, *theta_dot = tangents
        x, *parameters = ctx.saved_tensors
        A, problem = ctx.problem.A.replace(tuple(parameters)), ctx.problem
        # ẋ = A⁻¹ (ḃ − A' x): `pushed` without ẋ is A' x alone.
        rhs = -pushed(A, None, theta_dot, x)
        rhs = (rhs if b_dot is None else b_dot + rhs).expand_as(x)
        return problem.again(A, rhs, problem.flipped)
