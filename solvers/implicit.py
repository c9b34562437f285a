"""The implicit function theorem, once: how a solution depends on what defines it, whatever found it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator

__all__ = ["solve_differentiably"]

Solve = Callable[[LinearOperator, Tensor], Tensor]


def solve_differentiably(A: LinearOperator, b: Tensor, forward: Solve, adjoint: Solve) -> Tensor:
    """x = A⁻¹ b, differentiable any number of times in b and in A's parameters.

    With the cotangent g: solve Aᵀ λ = g; then ∂/∂b = λ and ∂/∂θ = −∂⟨λ, A(θ) x⟩/∂θ, A's pullback, so that memory does
    not depend on the number of iterations. The adjoint solve is differentiable by the same rule.

    Parameters
    ----------
    forward
        ``forward(A, b)`` computes the solution of the given system, outside of autograd.
    adjoint
        The same for every system that differentiation asks for: Aᵀ λ = g, and A again for second derivatives.
    """
    x: Tensor = _Solve.apply(_Problem(A, forward, adjoint), b, *A.parameters())
    return x


@dataclass(frozen=True)
class _Problem:
    A: LinearOperator
    forward: Solve
    adjoint: Solve


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: _Problem, b: Tensor, *parameters: Tensor) -> Tensor:
        A = problem.A.replace(tuple(p.detach() for p in parameters))
        x = problem.forward(A, b.detach())
        ctx.problem = problem
        ctx.save_for_backward(x, *parameters)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, *parameters = ctx.saved_tensors
        A = ctx.problem.A.replace(tuple(parameters))
        adjoint = ctx.problem.adjoint
        multiplier = solve_differentiably(A.T, g, adjoint, adjoint)
        if not any(ctx.needs_input_grad[2:]):
            return None, multiplier, *(None for _ in parameters)
        return None, multiplier, *A.pullback(-multiplier, x)
