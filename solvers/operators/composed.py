"""Operators made of others: what they share, and the simplest of them, the adjoint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError, TagError
from solvers.operators.linear_operator import LinearOperator

if TYPE_CHECKING:
    from solvers.operators.csr import CSROperator

__all__ = ["AdjointOperator", "ComposedOperator", "require_agreement", "spliced", "stored", "total"]


class ComposedOperator(LinearOperator):
    """An operator made of others: their parameters in a row, their inner product, their dtype and device."""

    parts: tuple[LinearOperator, ...]

    @abstractmethod
    def assembled(self, parts: tuple[LinearOperator, ...]) -> Self:
        """The same composition, with the same tags, of other parts of the same shapes."""

    def theorem(self) -> frozenset[str]:
        """The tags that follow from those of the parts."""
        return frozenset()

    @property
    def contents(self) -> str:
        return f"{self.expression}, "

    @property
    def batch_shape(self) -> torch.Size:
        return torch.broadcast_shapes(*(part.batch_shape for part in self.parts))

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parts[0].device

    @property
    def is_distributed(self) -> bool:
        return any(part.is_distributed for part in self.parts)

    @cached_property
    def space(self) -> LinearOperator:
        """The part that knows the inner product: one that redefines it, because its vectors are distributed."""
        for part in self.parts:
            known = part.space if isinstance(part, ComposedOperator) else part
            if type(known).inner is not LinearOperator.inner:
                return known
        return self.parts[0]

    def parameters(self) -> tuple[Tensor, ...]:
        return tuple(parameter for part in self.parts for parameter in part.parameters())

    def replace(self, parameters: tuple[Tensor, ...]) -> Self:
        new = [part.replace(own) for part, own in zip(self.parts, self.split(parameters), strict=True)]
        # Parts without parameters, such as the identity, follow the others to another precision or device.
        stored = [part for part in new if part.parameters()]
        if stored and (stored[0].dtype, stored[0].device) != (self.dtype, self.device):
            new = [part if part.parameters() else part.to(stored[0].dtype).to(stored[0].device) for part in new]
        return self.assembled(tuple(new))

    def split(self, parameters: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
        """One tuple for each part of as many parameters (or tangents, gradients) as it has."""
        counts = [len(part.parameters()) for part in self.parts]
        ends = list(accumulate(counts))
        return [parameters[end - count : end] for count, end in zip(counts, ends, strict=True)]

    def to(self, target: torch.dtype | torch.device | str) -> Self:
        return self.assembled(tuple(part.to(target) for part in self.parts))

    def conj(self) -> LinearOperator:
        return self.assembled(tuple(part.conj() for part in self.parts)) if self.dtype.is_complex else self

    def is_finite(self) -> Tensor:
        finite = torch.ones(self.batch_shape, dtype=torch.bool, device=self.device)
        for part in self.parts:
            finite = finite & part.is_finite()
        return finite

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        return self.space.inner(u, v)

    def inners(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        return self.space.inners(*pairs)

    def inner_basis(self, basis: Tensor, v: Tensor) -> Tensor:
        return self.space.inner_basis(basis, v)

    def norm(self, u: Tensor) -> Tensor:
        return self.space.norm(u)

    def largest(self, x: Tensor) -> Tensor:
        return self.space.largest(x)


class AdjointOperator(ComposedOperator):
    """Aᴴ, sharing A's parameters."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator, self.parts, self.tags = operator, (operator,), operator.tags

    def assembled(self, parts: tuple[LinearOperator, ...]) -> Self:
        return type(self)(*parts)

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape[::-1]

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.operator.global_shape[::-1]

    @property
    def expression(self) -> str:
        return f"{self.operator.expression}ᴴ"

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def project(self, x: Tensor) -> Tensor:
        return self.operator.project(x)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return self.operator.pullback(right, left)

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        return self.operator.pushforward_adjoint(tangents, x)

    def pushforward_adjoint(self, tangents: tuple[Tensor, ...], y: Tensor) -> Tensor:
        return self.operator.pushforward(tangents, y)

    def diagonal(self) -> Tensor:
        return self.operator.diagonal().conj()

    def to_csr(self) -> CSROperator:
        """The same matrices with stored entries; raises `TagError` if A has none."""
        return stored(self.operator).adjoint()

    def _mv(self, x: Tensor) -> Tensor:
        return self.operator._rmv(x)

    def _rmv(self, x: Tensor) -> Tensor:
        return self.operator._mv(x)


def stored(A: LinearOperator) -> CSROperator:
    """A with stored entries.

    Raises
    ------
    TagError
        It is matrix-free.
    """
    convert = getattr(A, "to_csr", None)
    if convert is None:
        raise TagError(f"{A!r} has no stored entries: use a CSROperator, or a method that asks for products only")
    entries: CSROperator = convert()
    return entries


def require_agreement(parts: Sequence[LinearOperator], verb: str) -> None:
    """Raise `DTypeError`, `DeviceError` or `ShapeError` unless dtypes and devices are equal and batches broadcast.

    No parts are a `ShapeError`, too.
    """
    if not parts:
        raise ShapeError(f"nothing to {verb}: expected at least one operator")
    A, batch = parts[0], parts[0].batch_shape
    for B in parts[1:]:
        if A.dtype != B.dtype:
            raise DTypeError(f"cannot {verb} {A!r} and {B!r}: dtypes differ; convert one of them with .to(dtype)")
        if A.device != B.device:
            raise DeviceError(f"cannot {verb} {A!r} and {B!r}: devices differ; move one of them with .to(device)")
        try:
            batch = torch.broadcast_shapes(batch, B.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"cannot {verb} operators of batch {tuple(batch)} and {B!r}: their batches do not broadcast"
            ) from None


def spliced(kind: type[ComposedOperator], parts: Iterable[LinearOperator]) -> tuple[LinearOperator, ...]:
    """The parts; one of this kind is replaced by its own parts, unless more is claimed of it than follows from them."""
    flat: list[LinearOperator] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) and part.tags == part.theorem() else (part,))
    return tuple(flat)


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of tensors that broadcast."""
    first, *rest = terms
    for term in rest:
        first = first + term
    return first
