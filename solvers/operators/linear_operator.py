"""What every linear operator can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from numbers import Complex
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Self, overload

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError, TagError
from solvers.operators.product_rule import columns_first, product

if TYPE_CHECKING:
    from solvers.operators.product import ProductOperator
    from solvers.operators.scaled import ScaledOperator
    from solvers.operators.sum import SumOperator

__all__ = ["DTYPES", "TAGS", "LinearOperator", "closed"]

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
#: What an operator can claim of its matrix.
TAGS = frozenset({"spd", "symmetric"})
_COLUMNS = 64


class LinearOperator(ABC):
    """A batch of matrices ``(*batch, m, n)``, real or complex, known by their action on flat vectors ``(*batch, n)``.

    A subclass stores tensors (its `parameters`) on which the matrix depends, and says how to multiply
    (`_mv`, `_rmv`: fast, never differentiated) and how to differentiate (`pullback`). Products and solves are then
    differentiable any number of times, with respect to the vector and to the stored parameters.

    Operators combine as matrices do: ``A + B``, ``A - B``, ``-A``, ``A @ B``, ``c * A`` and ``A / c`` for a number or a
    tensor ``(*batch)``; ``A @ x`` is the product with a vector.

    The tags say what is known of the matrix: "symmetric" (A = Aᴴ: Hermitian, if complex) and "spd" (and positive
    definite).
    """

    tags: frozenset[str] = frozenset()

    #: Symmetric whatever the parameters are, not only for these.
    stays_symmetric: ClassVar[bool] = False

    # NumPy's numbers leave ``number * A`` to the operator.
    __array_ufunc__ = None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(m, n) of one matrix."""

    @property
    def global_shape(self) -> tuple[int, int]:
        """(m, n) of the whole matrix; `shape` is that of the vectors here, shorter if the operator is distributed."""
        return self.shape

    @property
    def is_distributed(self) -> bool:
        """Whether rows and vectors are split over processes; the same on all of them, unlike a test of shapes."""
        return False

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

    def pushforward_adjoint(self, tangents: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """A'(θ̇)ᴴ y, the derivative of Aᴴ y along `tangents` of the parameters."""
        if type(self).pushforward is LinearOperator.pushforward:
            return self.replace(tangents).rmv(y)
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            batch = torch.broadcast_shapes(self.batch_shape, y.shape[:-1])
            x = torch.zeros(*batch, self.shape[1], dtype=self.dtype, device=self.device, requires_grad=True)
            moved = self.pushforward(tangents, x)  # linear in x, so that x = 0 does
            return torch.autograd.grad(moved, x, y.expand_as(moved), create_graph=again, materialize_grads=True)[0]

    def diagonal(self) -> Tensor:
        """The main diagonal, ``(*batch, min(m, n))``: by that many products, where an operator knows no better.

        Raises
        ------
        TagError
            The operator is distributed, and knows no better.
        """
        self._require_one_place("diagonal")
        length = min(self.shape)
        parts = [torch.zeros(*self.batch_shape, 0, dtype=self.dtype, device=self.device)]
        for first in range(0, length, _COLUMNS):
            count = min(_COLUMNS, length - first)
            columns = self._columns(first, count)[..., first : first + count]
            parts.append(columns.diagonal(dim1=0, dim2=-1))
        return torch.cat(parts, -1)

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
        return self if "symmetric" in self.tags else _operators().AdjointOperator(self)

    @property
    def T(self) -> LinearOperator:
        """The transpose."""
        return self.conj().H

    def conj(self) -> LinearOperator:
        """The operator with conjugate entries."""
        return self.replace(tuple(p.conj() for p in self.parameters())) if self.dtype.is_complex else self

    def to(self, target: torch.dtype | torch.device | str) -> Self:
        """The same operator in another precision, or on another device; differentiable.

        Raises
        ------
        DTypeError
            A complex operator was to become real.
        """
        if self.dtype.is_complex and isinstance(target, torch.dtype) and not target.is_complex:
            raise DTypeError(f"{self!r} to {target} would drop imaginary parts: choose {target.to_complex()}")
        return self.replace(tuple(p.to(target) for p in self.parameters()))

    def mv(self, x: Tensor) -> Tensor:
        """A x for flat vectors ``(*batch, n) -> (*batch, m)``; batch axes broadcast; differentiable.

        Raises
        ------
        ShapeError, DTypeError, DeviceError
            The vector does not fit the operator.
        """
        self.check_vector(x, self.shape[1])
        return product(self, x, transposed=False)

    def rmv(self, x: Tensor) -> Tensor:
        """Aᴴ x for flat vectors ``(*batch, m) -> (*batch, n)``; differentiable."""
        self.check_vector(x, self.shape[0])
        return product(self, x, transposed=True)

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, other: LinearOperator) -> ProductOperator: ...
    def __matmul__(self, other: Tensor | LinearOperator) -> Tensor | ProductOperator:
        if isinstance(other, LinearOperator):
            combined: ProductOperator = _operators().ProductOperator(self, other)
            return combined
        return self.mv(other) if isinstance(other, Tensor) else NotImplemented

    def __add__(self, other: LinearOperator) -> SumOperator:
        return _operators().SumOperator(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __sub__(self, other: LinearOperator) -> SumOperator:
        return self + (-other) if isinstance(other, LinearOperator) else NotImplemented

    def __neg__(self) -> ScaledOperator:
        return -1 * self

    def __mul__(self, factor: complex | Tensor) -> ScaledOperator:
        # Complex is every number here: of Python, of NumPy, real or not.
        return _operators().ScaledOperator(factor, self) if isinstance(factor, Complex | Tensor) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, divisor: complex | Tensor) -> ScaledOperator:
        return self * (1 / divisor) if isinstance(divisor, Complex | Tensor) else NotImplemented

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
        """The matrices ``(*batch, m, n)``, column by column: for tests and small systems.

        Raises
        ------
        TagError
            The operator is distributed.
        """
        self._require_one_place("to_dense")
        return self._columns(0, self.shape[1]).movedim(0, -1)

    def _columns(self, first: int, count: int) -> Tensor:
        """Columns of the matrices, ``(count, *batch, m)``."""
        n, batch = self.shape[1], self.batch_shape
        units = torch.zeros(count, n, dtype=self.dtype, device=self.device)
        units.diagonal(first).fill_(1)
        return self.mv(units.reshape(count, *(1,) * len(batch), n).expand(count, *batch, n))

    def _require_one_place(self, method: str) -> None:
        """Raise `TagError`, on every process, where unit vectors would have to be local parts of one vector."""
        if self.is_distributed:
            raise TagError(
                f"{type(self).__name__} of {self.global_shape[0]} × {self.global_shape[1]} is distributed: {method} "
                "would take one collective product for every unknown; solve without a preconditioner, or by CG, GMRES "
                "or BiCGStab with BlockPreconditioner"
            )

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
        kind = str(self.dtype).removeprefix("torch.")
        return f"{type(self).__name__}({m} × {n}, {self.contents}{batch}{kind}, {self.device}{tags})"

    @property
    def contents(self) -> str:
        """What its printed form says besides shape, dtype, device and tags; with a comma."""
        return ""

    @property
    def expression(self) -> str:
        """How it is made of others, in their names."""
        return type(self).__name__


def closed(tags: Iterable[str]) -> frozenset[str]:
    """The tags with what they imply; a single string is one tag.

    Raises
    ------
    TagError
        A tag is unknown.
    """
    claimed = frozenset({tags} if isinstance(tags, str) else tags)
    unknown = claimed - TAGS
    if unknown:
        raise TagError(
            f"tags {', '.join(sorted(map(repr, unknown)))}: unknown; known are {', '.join(map(repr, sorted(TAGS)))}"
        )
    return claimed | {"symmetric"} if "spd" in claimed else claimed


def _operators() -> ModuleType:
    """Operators made of others: built on this module, and loaded when the first is made."""
    from solvers import operators

    return operators
