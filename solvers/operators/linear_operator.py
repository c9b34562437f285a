"""What every linear operator can do, and the one rule by which all of them are differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd import forward_ad

from solvers.errors import DeviceError, DTypeError, ShapeError

__all__ = ["DTYPES", "AdjointOperator", "LinearOperator"]

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


class LinearOperator(ABC):
    """A batch of matrices ``(*batch, m, n)``, real or complex, known by their action on flat vectors ``(*batch, n)``.

    A subclass stores tensors (its `parameters`) on which the matrix depends, and says how to multiply
    (`_mv`, `_rmv`: fast, never differentiated) and how to differentiate (`pullback`). Products and solves are then
    differentiable any number of times, with respect to the vector and to the stored parameters.

    The tags say what is known of the matrix: "symmetric" (A = Aᴴ: Hermitian, if complex) and "spd" (and positive
    definite).
    """

    tags: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(m, n) of one matrix."""

    @property
    def global_shape(self) -> tuple[int, int]:
        """(m, n) of the whole matrix; `shape` is that of the vectors here, shorter if the operator is distributed."""
        return self.shape

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
        """Gradient of Re ⟨left, A right⟩ (summed over the batch) with respect to each of `parameters`.

        In torch's convention: for a matrix that stores its entries, leftᵢ conj(rightⱼ). Written in differentiable
        torch operations, so that second derivatives are right.
        """

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """A'(θ̇) x, the derivative of A x along `tangents` of the parameters: A(θ̇) x where A is linear in θ."""
        return self.replace(tangents).mv(x)

    @abstractmethod
    def diagonal(self) -> Tensor:
        """The main diagonal, ``(*batch, min(m, n))``."""

    @abstractmethod
    def _mv(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _rmv(self, x: Tensor) -> Tensor:
        """Aᴴ x."""

    @property
    def dtype(self) -> torch.dtype:
        return self.parameters()[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parameters()[0].device

    @property
    def H(self) -> LinearOperator:
        """The adjoint Aᴴ; a symmetric (Hermitian) operator is its own."""
        return self if "symmetric" in self.tags else AdjointOperator(self)

    @property
    def T(self) -> LinearOperator:
        """The transpose."""
        if not self.dtype.is_complex:
            return self.H
        return self.replace(tuple(parameter.conj() for parameter in self.parameters())).H

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
        """Aᴴ x for flat vectors ``(*batch, m) -> (*batch, n)``; differentiable."""
        self.check_vector(x, self.shape[0])
        return _product(self, x, transposed=True)

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.mv(x)

    def mm(self, X: Tensor) -> Tensor:
        """A X for columns ``(*batch, n, k) -> (*batch, m, k)``; differentiable."""
        if X.ndim < 2:
            raise ShapeError(f"shape {tuple(X.shape)}: mm expects columns (*batch, {self.shape[1]}, k); use mv")
        return self.mv(columns_first(X, len(self.batch_shape))).movedim(0, -1)

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """⟨u, v⟩ = Σ conj(u) v of two vectors of the system, ``(*batch, 1)``: over all parts of a distributed one."""
        return torch.linalg.vecdot(u, v).unsqueeze(-1)

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Several inner products at once (one communication of a distributed operator)."""
        return tuple(self.inner(u, v) for u, v in pairs)

    def inner_basis(self, basis: Tensor, v: Tensor) -> Tensor:
        """⟨uᵢ, v⟩ for the k vectors of a basis ``(*batch, k, n)``, ``(*batch, k)``: one communication, too."""
        return (basis.conj() @ v.unsqueeze(-1)).squeeze(-1)

    def norm(self, u: Tensor) -> Tensor:
        """‖u‖₂, ``(*batch, 1)``, real."""
        return self.inner(u, u).real.sqrt()

    def largest(self, x: Tensor) -> Tensor:
        """max |xᵢ|, ``(*batch, 1)``, real; infinity if any entry is not finite."""
        if x.shape[-1] == 0:
            return x.real.new_zeros(*x.shape[:-1], 1)
        size = x.abs().amax(-1, keepdim=True)
        return torch.where(size.isfinite(), size, torch.inf)

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
            own = tensor.isfinite()
            for _ in range(self.parameter_ndim(tensor)):
                own = own.all(-1)
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


class AdjointOperator(LinearOperator):
    """Aᴴ, sharing A's parameters."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.tags = operator.tags

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape[::-1]

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.operator.global_shape[::-1]

    @property
    def batch_shape(self) -> torch.Size:
        return self.operator.batch_shape

    @property
    def dtype(self) -> torch.dtype:
        return self.operator.dtype

    @property
    def device(self) -> torch.device:
        return self.operator.device

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def parameters(self) -> tuple[Tensor, ...]:
        return self.operator.parameters()

    def replace(self, parameters: tuple[Tensor, ...]) -> AdjointOperator:
        return AdjointOperator(self.operator.replace(parameters))

    def is_finite(self) -> Tensor:
        return self.operator.is_finite()

    def project(self, x: Tensor) -> Tensor:
        return self.operator.project(x)

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        return self.operator.inner(u, v)

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        return self.operator.inners(*pairs)

    def inner_basis(self, basis: Tensor, v: Tensor) -> Tensor:
        return self.operator.inner_basis(basis, v)

    def largest(self, x: Tensor) -> Tensor:
        return self.operator.largest(x)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return self.operator.pullback(right, left)

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return self.replace(tangents).mv(x)

    def diagonal(self) -> Tensor:
        return self.operator.diagonal().conj()

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator._rmv(x)

    def _rmv(self, x: Tensor) -> Tensor:
        return self.operator._mv(x)


def columns_first(X: Tensor, batch_ndim: int) -> Tensor:
    """Columns ``(*batch, n, k)`` as vectors ``(k, *batch, n)`` with at least `batch_ndim` axes between."""
    vectors = X.movedim(-1, 0)
    missing = max(0, batch_ndim - (vectors.ndim - 2))
    return vectors.reshape(vectors.shape[0], *(1,) * missing, *vectors.shape[1:])


def is_differentiated(*tensors: Tensor) -> bool:
    """Whether autograd follows any of the tensors, backward or forward."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return True
    return any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def _product(A: LinearOperator, x: Tensor, transposed: bool) -> Tensor:
    parameters = A.parameters()
    if is_differentiated(x, *parameters):
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
        ctx.save_for_forward(x, *parameters)
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

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        _, _, x_dot, *theta_dot = tangents
        x, *parameters = ctx.saved_tensors
        A = ctx.A.replace(tuple(parameters))
        A = A.H if ctx.transposed else A
        return pushed(A, x_dot, theta_dot, x)


def pushed(A: LinearOperator, x_dot: Tensor | None, theta_dot: Sequence[Tensor | None], x: Tensor) -> Tensor:
    """A ẋ + A'(θ̇) x, where missing tangents are zero."""
    total = torch.zeros((), dtype=A.dtype, device=A.device) if x_dot is None else A.mv(x_dot)
    if any(t is not None for t in theta_dot):
        filled = [torch.zeros_like(p) if t is None else t for t, p in zip(theta_dot, A.parameters(), strict=True)]
        total = total + A.pushforward(tuple(filled), x)
    return total
