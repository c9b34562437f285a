"""Least squares as the square system AᴴA x = Aᴴb: for derivatives and preconditioners, not for solving."""

from __future__ import annotations

from torch import Tensor

from solvers.errors import TagError
from solvers.implicit import Solve, solve_differentiably
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product import ProductOperator

__all__ = ["gram_operator", "least_squares_differentiably"]


def gram_operator(A: LinearOperator) -> ProductOperator:
    """AᴴA, positive definite because A is taken to have full column rank.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator
    >>> gram_operator(CSROperator.from_dense(torch.tensor([[1.0], [2.0]]))).mv(torch.ones(1))
    tensor([5.])
    """
    return ProductOperator(A.H, A, tags={"spd"})


def least_squares_differentiably(A: LinearOperator, b: Tensor, forward: Solve, again: Solve) -> Tensor:
    """The x with the smallest ‖b − A x‖ for an A of full column rank, differentiable any number of times in b and A.

    Parameters
    ----------
    forward
        Computes it from A and b, without forming Aᴴb or squaring the condition number.
    again
        Solves systems with AᴴA, which differentiation asks for.

    Raises
    ------
    TagError
        A has fewer rows than columns, so that AᴴA is singular.
    """
    m, n = A.shape
    if m < n:
        raise TagError(
            f"{A!r} has more columns than rows: derivatives of shortest solutions are not defined; solve under "
            "torch.no_grad(), or solve A Aᴴ y = b by CG and take x = Aᴴ y, which is differentiable"
        )
    original, data = A.replace(tuple(p.detach() for p in A.parameters())), b.detach()

    def solve(gram: LinearOperator, _: Tensor, flipped: bool) -> Tensor:
        return forward(original, data, flipped)

    return solve_differentiably(gram_operator(A), A.rmv(b), solve, again)
