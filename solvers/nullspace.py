"""Systems whose kernel is known: solved in the orthogonal complement of it."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator

__all__ = ["DeflatedInverse", "DeflatedOperator", "orthonormal"]


class DeflatedOperator(LinearOperator):
    """P A P with P = I − Z Zᴴ, for a self-adjoint A with the kernel spanned by Z's columns.

    On the complement of Z it is A; rounding errors in Z are removed at every product.
    """

    def __init__(self, operator: LinearOperator, kernel: Tensor) -> None:
        if "symmetric" not in operator.tags:
            raise TagError(
                f"{operator!r} lacks the tag 'symmetric', without which its range is not the complement of its kernel: "
                "build it with tags={'symmetric'}, or use NormalCG"
            )
        self.operator, self.kernel, self.tags = operator, kernel, operator.tags

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape

    @property
    def batch_shape(self) -> torch.Size:
        return self.operator.batch_shape

    def parameters(self) -> tuple[Tensor, ...]:
        return self.operator.parameters()

    def replace(self, parameters: tuple[Tensor, ...]) -> DeflatedOperator:
        return DeflatedOperator(self.operator.replace(parameters), self.kernel)

    def is_finite(self) -> Tensor:
        return self.operator.is_finite()

    def project(self, x: Tensor) -> Tensor:
        return x - (x @ self.kernel.conj()) @ self.kernel.mT

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return self.operator.pullback(self.project(left), self.project(right))

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return self.project(self.operator.pushforward(tangents, self.project(x)))

    def diagonal(self) -> Tensor:
        return self.operator.diagonal()

    def _mv(self, x: Tensor) -> Tensor:
        return self.project(self.operator._mv(self.project(x)))

    def _rmv(self, x: Tensor) -> Tensor:
        return self._mv(x)


class DeflatedInverse(Inverse):
    """P M P."""

    def __init__(self, inverse: Inverse, operator: DeflatedOperator) -> None:
        self.inverse, self.operator = inverse, operator
        self.is_linear, self.is_spd = inverse.is_linear, inverse.is_spd

    def __call__(self, r: Tensor) -> Tensor:
        return self.operator.project(self.inverse(self.operator.project(r)))

    @property
    def H(self) -> Inverse:
        return DeflatedInverse(self.inverse.H, self.operator)


def orthonormal(kernel: Tensor, A: LinearOperator) -> Tensor:
    """Orthonormal columns ``(n, k)`` with the span of `kernel`, ``(n)`` or ``(n, k)``.

    Raises
    ------
    ShapeError
        The shape does not fit A, or the columns are dependent.
    """
    columns = kernel[:, None] if kernel.ndim == 1 else kernel
    if columns.ndim != 2 or columns.shape[0] != A.shape[1]:
        raise ShapeError(f"nullspace {tuple(kernel.shape)}: expected ({A.shape[1]},) or ({A.shape[1]}, k)")
    q, r = torch.linalg.qr(columns.to(A.dtype))
    pivots = r.diagonal().abs()
    if bool((pivots <= 1e3 * torch.finfo(A.dtype).eps * pivots.max()).any()):
        raise ShapeError(f"nullspace {tuple(kernel.shape)}: its columns are linearly dependent; leave the copies out")
    return q
