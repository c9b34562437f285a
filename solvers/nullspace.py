"""Systems whose kernel is known: solved in the orthogonal complement of it."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator

__all__ = ["DeflatedInverse", "DeflatedOperator", "orthonormal", "require_kernel"]


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
    def global_shape(self) -> tuple[int, int]:
        return self.operator.global_shape

    @property
    def is_distributed(self) -> bool:
        return self.operator.is_distributed

    @property
    def batch_shape(self) -> torch.Size:
        return self.operator.batch_shape

    def parameters(self) -> tuple[Tensor, ...]:
        return self.operator.parameters()

    def replace(self, parameters: tuple[Tensor, ...]) -> DeflatedOperator:
        return DeflatedOperator(self.operator.replace(parameters), self.kernel)

    def is_finite(self) -> Tensor:
        return self.operator.is_finite()

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        return self.operator.inner(u, v)

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        return self.operator.inners(*pairs)

    def inner_basis(self, basis: Tensor, v: Tensor) -> Tensor:
        return self.operator.inner_basis(basis, v)

    def largest(self, x: Tensor) -> Tensor:
        return self.operator.largest(x)

    def project(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x.dtype)  # iterative refinement asks in a lower precision than A's
        # The operator's inner product, because it may be distributed: all columns in one communication.
        components = self.operator.inner(kernel.mT, x.unsqueeze(-2))
        return x - components.squeeze(-1) @ kernel.mT

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
    """Orthonormal columns ``(n, k)`` with the span of `kernel`, ``(n)`` or ``(n, k)``, by A's inner product.

    Raises
    ------
    ShapeError
        The shape does not fit A, or the columns are dependent.
    """
    columns = kernel[:, None] if kernel.ndim == 1 else kernel
    if columns.ndim != 2 or columns.shape[0] != A.shape[1]:
        raise ShapeError(f"nullspace {tuple(kernel.shape)}: expected ({A.shape[1]},) or ({A.shape[1]}, k)")
    basis: list[Tensor] = []
    for z in columns.to(A.dtype).mT:
        size = A.norm(z)
        for _ in range(2):  # Gram & Schmidt twice is enough (Giraud, Langou & Rozložník 2005)
            for q in basis:
                z = z - A.inner(q, z) * q
        rest = A.norm(z)
        if not bool(rest > 1e3 * torch.finfo(A.dtype).eps * size):
            raise ShapeError(
                f"nullspace {tuple(kernel.shape)}: its columns are linearly dependent; leave the copies out"
            )
        basis.append(z / rest)
    return torch.stack(basis, -1) if basis else columns.to(A.dtype)


@torch.no_grad()
def require_kernel(A: LinearOperator, kernel: Tensor) -> None:
    """Raise `TagError` unless A z = 0, up to √eps ‖A‖, for the orthonormal columns z of `kernel` in finite systems."""
    n = kernel.shape[0]
    trial = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(A.device, A.dtype)
    trial = trial / A.norm(trial)
    size, limit = A.norm(A.mv(trial)), torch.finfo(A.dtype).eps ** 0.5
    finite = A.is_finite()
    for k, z in enumerate(kernel.mT):
        moved = A.norm(A.mv(z))
        # ‖A w‖ of a random unit vector w is of the size of ‖A‖ / √n or larger.
        wrong = (moved > limit * A.global_shape[1] ** 0.5 * size).squeeze(-1) & finite
        if bool(wrong.any()):
            system = int(wrong.reshape(-1).nonzero()[0])
            raise TagError(
                f"nullspace: column {k} is not in the kernel of system {system} of {wrong.numel()} of {A!r} "
                f"(‖A z‖ = {float(moved.reshape(-1)[system]):.1e} for a unit vector z): leave it out, or mend it"
            )
