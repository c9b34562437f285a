"""The one rule by which every product with an operator is differentiated, backward and forward, any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

if TYPE_CHECKING:
    from solvers.operators.linear_operator import LinearOperator

__all__ = ["columns_first", "is_differentiated", "product", "pushed", "variables"]


def product(A: LinearOperator, x: Tensor, transposed: bool) -> Tensor:
    """A x, or Aᴴ x; recorded by autograd if it follows x or a parameter of A."""
    parameters = A.parameters()
    if is_differentiated(x, *parameters):
        y: Tensor = _Product.apply(A, transposed, x, *parameters)
        return y
    with torch.no_grad():
        return A._rmv(x) if transposed else A._mv(x)


def pushed(
    A: LinearOperator, x_dot: Tensor | None, theta_dot: Sequence[Tensor | None], x: Tensor, transposed: bool = False
) -> Tensor:
    """A ẋ + A'(θ̇) x, or Aᴴ ẋ + A'(θ̇)ᴴ x, where missing tangents are zero."""
    total = torch.zeros((), dtype=A.dtype, device=A.device)
    if x_dot is not None:
        total = product(A, x_dot, transposed)
    if any(t is not None for t in theta_dot):
        filled = [torch.zeros_like(p) if t is None else t for t, p in zip(theta_dot, A.parameters(), strict=True)]
        push = A.pushforward_adjoint if transposed else A.pushforward
        total = total + push(tuple(filled), x)
    return total


def is_differentiated(*tensors: Tensor) -> bool:
    """Whether autograd follows any of the tensors, backward or forward."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return True
    return any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def variables(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Stand-ins of the same values for partial derivatives, to be made while autograd records.

    They are connected to the tensors, so that a derivative with respect to them can be differentiated itself, but what
    else depends on the tensors does not enter it.
    """
    aliases = [t.view_as(t) for t in tensors]
    return [t if t.requires_grad else t.requires_grad_() for t in aliases]


def columns_first(X: Tensor, batch_ndim: int) -> Tensor:
    """Columns ``(*batch, n, k)`` as vectors ``(k, *batch, n)`` with at least `batch_ndim` axes between."""
    vectors = X.movedim(-1, 0)
    missing = max(0, batch_ndim - (vectors.ndim - 2))
    return vectors.reshape(vectors.shape[0], *(1,) * missing, *vectors.shape[1:])


class _Product(torch.autograd.Function):
    """y = A x: ∂/∂x is the transposed product, ∂/∂parameters is A's pullback; both differentiable again."""

    @staticmethod
    def forward(ctx: Any, A: LinearOperator, transposed: bool, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.A, ctx.transposed = A, transposed
        ctx.save_for_backward(x, *parameters)
        ctx.save_for_forward(x, *parameters)
        A = A.replace(tuple(p.detach() for p in parameters))
        return A._rmv(x) if transposed else A._mv(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, *parameters = ctx.saved_tensors
        A = ctx.A.replace(tuple(parameters))
        dx = product(A, g, not ctx.transposed).sum_to_size(x.shape) if ctx.needs_input_grad[2] else None
        if not any(ctx.needs_input_grad[3:]):
            return None, None, dx, *(None for _ in parameters)
        return None, None, dx, *(A.pullback(x, g) if ctx.transposed else A.pullback(g, x))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        _, _, x_dot, *theta_dot = tangents
        x, *parameters = ctx.saved_tensors
        # Not A.H, which is A itself where that is tagged symmetric: the tangents need not be.
        return pushed(ctx.A.replace(tuple(parameters)), x_dot, theta_dot, x, ctx.transposed)
