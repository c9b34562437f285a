"""Products of operators, never formed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.composed import AdjointOperator, ComposedOperator, require_agreement, spliced, stored
from solvers.operators.csr import CSROperator
from solvers.operators.csr_algebra import csr_product
from solvers.operators.linear_operator import LinearOperator, closed

__all__ = ["ProductOperator"]


class ProductOperator(ComposedOperator):
    """A B …, applied from the right; symmetric if it reads the same from both ends: ``B.H @ A @ B`` of a symmetric A.

    Parameters
    ----------
    *factors
        Operators of one dtype and device whose shapes fit; batch axes broadcast.
    tags
        What else is known of the product: ``ProductOperator(B.H, B, tags={"spd"})`` for a B of full column rank.

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        The factors do not fit together.

    Examples
    --------
    >>> import torch
    >>> from solvers import DenseOperator
    >>> B = DenseOperator(torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]))
    >>> B.H @ B
    ProductOperator(2 × 2, DenseOperatorᴴ @ DenseOperator, float32, cpu, tags ['symmetric'])
    """

    def __init__(self, *factors: LinearOperator, tags: Iterable[str] = ()) -> None:
        require_agreement(factors, "multiply")
        for A, B in pairwise(factors):
            if A.shape[1] != B.shape[0]:
                raise ShapeError(f"cannot multiply {A!r} and {B!r}: {A.shape[1]} columns meet {B.shape[0]} rows")
        self.parts = spliced(ProductOperator, factors)
        self.tags = closed(tags) | self.theorem()

    def theorem(self) -> frozenset[str]:
        mirrored = zip(self.parts, reversed(self.parts), strict=True)
        return frozenset({"symmetric"} if all(_is_adjoint(A, B) for A, B in mirrored) else ())

    def assembled(self, parts: tuple[LinearOperator, ...]) -> Self:
        return type(self)(*parts, tags=self.tags)

    @property
    def shape(self) -> tuple[int, int]:
        return self.parts[0].shape[0], self.parts[-1].shape[1]

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.parts[0].global_shape[0], self.parts[-1].global_shape[1]

    @property
    def expression(self) -> str:
        return " @ ".join(factor.expression for factor in self.parts)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        # ⟨left, A B C right⟩ = ⟨Aᴴ left, B (C right)⟩: each factor between what the others make of the two vectors.
        lefts, rights = [left], [right]
        for factor in self.parts[:-1]:
            lefts.append(factor.rmv(lefts[-1]))
        for factor in reversed(self.parts[1:]):
            rights.append(factor.mv(rights[-1]))
        between = zip(self.parts, lefts, reversed(rights), strict=True)
        return tuple(gradient for factor, u, v in between for gradient in factor.pullback(u, v))

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        # The product rule, from the right: y = F x and ẏ = F ẋ + F' x for one factor after the other.
        y, moved = x, torch.zeros((), dtype=self.dtype, device=self.device)
        for factor, own in zip(reversed(self.parts), reversed(self.split(tangents)), strict=True):
            moved = factor.mv(moved) if moved.ndim else moved
            moved = moved + factor.pushforward(own, y) if own else moved
            y = factor.mv(y)
        return moved.expand(y.shape)

    def diagonal(self) -> Tensor:
        return self.to_csr().diagonal() if _has_entries(self) else super().diagonal()

    def to_csr(self) -> CSROperator:
        """The product with stored entries, formed; raises `TagError` if a factor has none."""
        *rest, last = (stored(factor) for factor in self.parts)
        for factor in reversed(rest):
            last = csr_product(factor, last)
        values = last.values.expand(*self.batch_shape, -1)
        return CSROperator.from_pattern(last.pattern, values, self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        for factor in reversed(self.parts):
            x = factor._mv(x)
        return x

    def _rmv(self, x: Tensor) -> Tensor:
        for factor in self.parts:
            x = factor._rmv(x)
        return x


def _is_adjoint(A: LinearOperator, B: LinearOperator) -> bool:
    """Whether A is Bᴴ because it was made so."""
    if isinstance(A, AdjointOperator):
        return A.operator is B
    if isinstance(B, AdjointOperator):
        return B.operator is A
    return A is B and "symmetric" in A.tags


def _has_entries(A: LinearOperator) -> bool:
    return all(map(_has_entries, A.parts)) if isinstance(A, ComposedOperator) else hasattr(A, "to_csr")
