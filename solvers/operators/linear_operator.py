"""What every linear operator can do, and the one rule by which all of them are differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError

__all__ = ["LinearOperator", "TransposedOperator"]


class LinearOperator(ABC):
    """A batch of real matrices ``(*batch, m, n)`` known by their action on flat vectors ``(*batch, n)``.

    A subclass stores tensors (its `parameters`) on which the matrix depends linearly, and says how to multiply
    (`_mv`, `_rmv`: fast, never differentiated) and how to differentiate (`pullback`). Products and solves are then
    differentiable any number of times, with respect to the vector and to the stored parameters.
    """

    tags: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(m, n) of one matrix."""

    @property
    @abstractmethod
    def batch_shape(self) -> torch.Size:
        """Leading shape of the parameters; vectors may have more leading axes."""

    @abstractmethod
    def parameters(self) -> tuple[Tensor, ...]:
        """The stored tensors the matrix depends on."""

    @abstractmethod
    def replace(self, parameters: tuple[Tensor, ...]) -> Self:
        """The same operator with other stored tensors (same shapes)."""

    @abstractmethod
    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        """Gradient of ⟨left, A right⟩ (summed over the batch) with respect to each of `parameters`.

        Written in differentiable torch operations, so that second derivatives are right.
        """

    @abstractmethod
    def diagonal(self) -> Tensor:
        """The main diagonal, ``(*batch, min(m, n))``."""

    @abstractmethod
    def _mv(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _rmv(self, x: Tensor) -> Tensor: ...

    @property
    def dtype(self) -> torch.dtype:
        return self.parameters()[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parameters()[0].device

    @property
    def T(self) -> LinearOperator:
        """The transpose; a symmetric operator is its own."""
        return self if "symmetric" in self.tags else TransposedOperator(self)

    def mv(self, x: Tensor) -> Tensor:
        """A x for flat vectors ``(*batch, n) -> (*batch, m)``; batch axes broadcast; differentiable.

        Raises
        ------
        ShapeError, DTypeError, DeviceError
            The vector does not fit the operator.
        """
        self.check_vector(x, self.shape[1])
        return _product(self, x, transposed=False)

    def rmv(self, x: Tensor) -> Tensor:
        """Aᵀ x for flat vectors ``(*batch, m) -> (*batch, n)``; differentiable."""
        self.check_vector(x, self.shape[0])
        return _product(self, x, transposed=True)

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.mv(x)

    def to_dense(self) -> Tensor:
        """The matrices ``(*batch, m, n)``, column by column: for tests and small systems."""
        n = self.shape[1]
        columns = torch.eye(n, dtype=self.dtype, device=self.device)
        columns = columns.reshape(n, *(1,) * len(self.batch_shape), n).expand(n, *self.batch_shape, n)
        return self.mv(columns).movedim(0, -1)

    def is_finite(self) -> Tensor:
        """True for the systems without NaN or infinity in their parameters, ``(*batch)`` bool."""
        finite = torch.ones(self.batch_shape, dtype=torch.bool, device=self.device)
        for tensor in self.parameters():
            own = tensor.isfinite().reshape(*tensor.shape[: tensor.ndim - self.parameter_ndim(tensor)], -1).all(-1)
            finite = finite & own
        return finite

    def parameter_ndim(self, parameter: Tensor) -> int:
        """Number of trailing axes of a parameter that are not batch axes."""
        return 1

    def project(self, x: Tensor) -> Tensor:
        """The orthogonal projection of x onto the range of a symmetric operator; x itself if A is regular."""
        return x

    def check_vector(self, x: Tensor, length: int) -> None:
        """Raise unless `x` is ``(*batch, length)`` with this operator's dtype and device."""
        name = type(self).__name__
        if x.ndim == 0 or x.shape[-1] != length:
            raise ShapeError(
                f"vector of shape {tuple(x.shape)}: {name} expects (*batch, {length}); flatten the grid axes"
            )
        try:
            torch.broadcast_shapes(self.batch_shape, x.shape[:-1])
        except RuntimeError:
            raise ShapeError(
                f"vector batch {tuple(x.shape[:-1])}: {name}'s batch {tuple(self.batch_shape)} does not broadcast"
            ) from None
        if x.dtype != self.dtype:
            raise DTypeError(
                f"vector of dtype {x.dtype}: {name} holds {self.dtype}; convert one of them with .to(dtype)"
            )
        if x.device != self.device:
            raise DeviceError(f"vector on {x.device}: {name} is on {self.device}; move one of them with .to(device)")

    def __repr__(self) -> str:
        m, n = self.shape
        batch = f"batch {tuple(self.batch_shape)}, " if self.batch_shape else ""
        tags = f", tags {sorted(self.tags)}" if self.tags else ""
        return f"{type(self).__name__}({m} × {n}, {batch}{str(self.dtype).removeprefix('torch.')}, {self.device}{tags})"


class TransposedOperator(LinearOperator):
    """Aᵀ, sharing A's parameters."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.tags = operator.tags

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape[::-1]

    @property
    def batch_shape(self) -> torch.Size:
        return self.operator.batch_shape

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def parameters(self) -> tuple[Tensor, ...]:
        return self.operator.parameters()

    def parameter_ndim(self, parameter: Tensor) -> int:
        return self.operator.parameter_ndim(parameter)

    def replace(self, parameters: tuple[Tensor, ...]) -> TransposedOperator:
        return TransposedOperator(self.operator.replace(parameters))

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return self.operator.pullback(right, left)

    def diagonal(self) -> Tensor:
        return self.operator.diagonal()

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator._rmv(x)

    def _rmv(self, x: Tensor) -> Tensor:
        return self.operator._mv(x)


def _product(A: LinearOperator, x: Tensor, transposed: bool) -> Tensor:
    parameters = A.parameters()
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
        product: Tensor = _Product.apply(A, transposed, x, *parameters)
        return product
    with torch.no_grad():
        return A._rmv(x) if transposed else A._mv(x)


class _Product(torch.autograd.Function):
    """y = A x: ∂/∂x is the transposed product, ∂/∂parameters is A's pullback; both differentiable again."""

    @staticmethod
    def forward(ctx: Any, A: LinearOperator, transposed: bool, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.A, ctx.transposed = A, transposed
        ctx.save_for_backward(x, *parameters)
        A = A.replace(tuple(p.detach() for p in parameters))
        return A._rmv(x) if transposed else A._mv(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, *parameters = ctx.saved_tensors
        A = ctx.A.replace(tuple(parameters))
        dx = _product(A, g, not ctx.transposed).sum_to_size(x.shape) if ctx.needs_input_grad[2] else None
        if not any(ctx.needs_input_grad[3:]):
            return None, None, dx, *(None for _ in parameters)
        return None, None, dx, *(A.pullback(x, g) if ctx.transposed else A.pullback(g, x))
