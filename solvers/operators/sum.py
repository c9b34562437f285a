"""Sums of operators, never formed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from torch import Tensor

from solvers.errors import ShapeError
from solvers.operators.composed import ComposedOperator, require_agreement, spliced, stored, total
from solvers.operators.csr import CSROperator
from solvers.operators.csr_algebra import csr_sum
from solvers.operators.linear_operator import LinearOperator, closed

__all__ = ["SumOperator"]


class SumOperator(ComposedOperator):
    """A + B + …; symmetric or positive definite if every term is.

    Parameters
    ----------
    *terms
        Operators of one shape, dtype and device; batch axes broadcast.
    tags
        What else is known of the sum: ``SumOperator(A, -B, tags={"spd"})``.

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        The terms do not fit together.

    Examples
    --------
    >>> import torch
    >>> from solvers import DiagonalOperator, IdentityOperator
    >>> A = DiagonalOperator(torch.tensor([1.0, 2.0])) + 0.5 * IdentityOperator(2, torch.float32)
    >>> A @ torch.ones(2)
    tensor([1.5000, 2.5000])
    """

    def __init__(self, *terms: LinearOperator, tags: Iterable[str] = ()) -> None:
        require_agreement(terms, "add")
        for term in terms[1:]:
            if term.shape != terms[0].shape:
                raise ShapeError(f"cannot add {terms[0]!r} and {term!r}: their shapes differ")
        self.parts = spliced(SumOperator, terms)
        self.tags = closed(tags) | self.theorem()

    def theorem(self) -> frozenset[str]:
        return frozenset.intersection(*(term.tags for term in self.parts))

    def assembled(self, parts: tuple[LinearOperator, ...]) -> Self:
        return type(self)(*parts, tags=self.tags)

    @property
    def shape(self) -> tuple[int, int]:
        return self.parts[0].shape

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.space.global_shape

    @property
    def expression(self) -> str:
        return "(" + " + ".join(term.expression for term in self.parts) + ")"

    def project(self, x: Tensor) -> Tensor:
        if "spd" not in self.tags:
            return x
        # The kernel of a sum of semi-definite terms is what their kernels share (which here are equal or trivial).
        shared = x
        for term in self.parts:
            projected = term.project(shared)
            if projected is shared:
                return x
            shared = shared - projected
        return x - shared

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return tuple(gradient for term in self.parts for gradient in term.pullback(left, right))

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        terms = zip(self.parts, self.split(tangents), strict=True)
        return total(term.pushforward(own, x) for term, own in terms if own)

    def diagonal(self) -> Tensor:
        return total(term.diagonal() for term in self.parts)

    def to_csr(self) -> CSROperator:
        """The sum with stored entries; raises `TagError` if a term has none."""
        return csr_sum([stored(term) for term in self.parts], self.tags)

    def _mv(self, x: Tensor) -> Tensor:
        return total(term._mv(x) for term in self.parts)

    def _rmv(self, x: Tensor) -> Tensor:
        return total(term._rmv(x) for term in self.parts)
