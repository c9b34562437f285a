"""Multiples of operators, never formed."""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from solvers.errors import DeviceError, DTypeError, ShapeError
from solvers.operators.composed import ComposedOperator, stored
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator, closed

__all__ = ["ScaledOperator"]


class ScaledOperator(ComposedOperator):
    """c A; symmetric if A is and c is real, positive definite if A is and c is positive.

    Parameters
    ----------
    factor
        A number, or a tensor ``(*batch)`` that broadcasts with A's batch axes, of A's dtype or the real one: then it is
        the last of the parameters.
    operator
        A.
    tags
        What else is known of the multiple.

    Raises
    ------
    ShapeError, DTypeError, DeviceError
        The factor does not fit the operator.

    Examples
    --------
    >>> import torch
    >>> from solvers import IdentityOperator
    >>> steps = torch.tensor([0.5, 2.0], requires_grad=True)
    >>> steps * IdentityOperator(3, torch.float32)
    ScaledOperator(3 × 3, c · IdentityOperator, batch (2,), float32, cpu, tags ['spd', 'symmetric'])
    """

    def __init__(self, factor: complex | Tensor, operator: LinearOperator, tags: Iterable[str] = ()) -> None:
        if not isinstance(factor, Tensor):
            number = complex(factor)
            factor = number if number.imag else number.real
        self._set(factor, operator)
        self.tags = closed(tags) | self._theorem()

    def _set(self, factor: complex | Tensor, operator: LinearOperator) -> None:
        self.factor, self.operator, self.parts = factor, operator, (operator,)
        if not isinstance(factor, Tensor):
            if isinstance(factor, complex) and not operator.dtype.is_complex:
                raise DTypeError(
                    f"{factor:g} times the real {operator!r}: convert it with .to({operator.dtype.to_complex()})"
                )
            return
        if factor.dtype not in (operator.dtype, operator.dtype.to_real()):
            raise DTypeError(
                f"factor of dtype {factor.dtype}: {operator!r} holds {operator.dtype}; convert one of them with "
                ".to(dtype)"
            )
        if factor.device != operator.device:
            raise DeviceError(
                f"factor on {factor.device}: {operator!r} is on {operator.device}; move one of them with .to(device)"
            )
        try:
            torch.broadcast_shapes(factor.shape, operator.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"factor {tuple(factor.shape)}: expected one number for each system of {operator!r}"
            ) from None

    def _theorem(self) -> frozenset[str]:
        c = self.factor
        if isinstance(c, complex) or (isinstance(c, Tensor) and c.dtype.is_complex):
            return frozenset()
        # NaN passes: when its system is solved it is reported for that system alone.
        positive = not bool((c <= 0).any()) if isinstance(c, Tensor) else not c <= 0
        return self.operator.tags if positive else self.operator.tags - {"spd"}

    def assembled(self, parts: tuple[LinearOperator, ...]) -> Self:
        return self._with(self.factor, *parts)

    def _with(self, factor: complex | Tensor, operator: LinearOperator) -> Self:
        # Tags are a claim that stays; to ask a device for the sign of the factor at every product would cost time.
        new = type(self).__new__(type(self))
        new._set(factor, operator)
        new.tags = self.tags
        return new

    @property
    def shape(self) -> tuple[int, int]:
        return self.operator.shape

    @property
    def global_shape(self) -> tuple[int, int]:
        return self.operator.global_shape

    @property
    def batch_shape(self) -> torch.Size:
        own = self.factor.shape if isinstance(self.factor, Tensor) else torch.Size()
        return torch.broadcast_shapes(self.operator.batch_shape, own)

    @property
    def expression(self) -> str:
        factor = "c" if isinstance(self.factor, Tensor) else f"{self.factor:g}"
        return f"{factor} · {self.operator.expression}"

    def parameters(self) -> tuple[Tensor, ...]:
        own = (self.factor,) if isinstance(self.factor, Tensor) else ()
        return (*self.operator.parameters(), *own)

    def replace(self, parameters: tuple[Tensor, ...]) -> Self:
        if not isinstance(self.factor, Tensor):
            return super().replace(parameters)
        *own, factor = parameters
        if own:
            return self._with(factor, self.operator.replace(tuple(own)))
        keeps = self.dtype.is_complex and not factor.dtype.is_complex
        return self._with(factor, self.operator.to(factor.dtype.to_complex() if keeps else factor.dtype))

    def to(self, target: torch.dtype | torch.device | str) -> Self:
        c = self.factor
        if isinstance(c, Tensor):
            keeps_real = isinstance(target, torch.dtype) and not c.dtype.is_complex
            c = c.to(target.to_real() if keeps_real and isinstance(target, torch.dtype) else target)
        return self._with(c, self.operator.to(target))

    def conj(self) -> LinearOperator:
        c = self.factor
        return self._with(c.conj() if isinstance(c, Tensor) else c.conjugate(), self.operator.conj())

    def is_finite(self) -> Tensor:
        finite = super().is_finite()
        return finite & self.factor.isfinite() if isinstance(self.factor, Tensor) else finite & isfinite(self.factor)

    def project(self, x: Tensor) -> Tensor:
        return self.operator.project(x)

    def pullback(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        gradients = self.operator.pullback(self._times(left, conjugate=True), right)
        if not isinstance(self.factor, Tensor):
            return gradients
        own = self.inner(self.operator.mv(right), left).squeeze(-1)
        own = own if self.factor.dtype.is_complex else own.real
        return (*gradients, own.sum_to_size(self.factor.shape))

    def pushforward(self, tangents: tuple[Tensor, ...], x: Tensor) -> Tensor:
        if not isinstance(self.factor, Tensor):
            return self._times(self.operator.pushforward(tangents, x))
        *own, c_dot = tangents
        moved = c_dot.unsqueeze(-1) * self.operator.mv(x)
        return moved + self._times(self.operator.pushforward(tuple(own), x)) if own else moved

    def diagonal(self) -> Tensor:
        return self._times(self.operator.diagonal())

    def to_csr(self) -> CSROperator:
        """The multiple with stored entries; raises `TagError` if A has none."""
        entries = stored(self.operator)
        return CSROperator.from_pattern(entries.pattern, self._times(entries.values), self.tags)

    def _times(self, x: Tensor, conjugate: bool = False) -> Tensor:
        """The factor of every system times its vector, ``(*batch, n)``."""
        c = self.factor
        if isinstance(c, Tensor):
            return (c.conj() if conjugate else c).unsqueeze(-1) * x
        return (c.conjugate() if conjugate else c) * x

    def _mv(self, x: Tensor) -> Tensor:
        return self._times(self.operator._mv(x))

    def _rmv(self, x: Tensor) -> Tensor:
        return self._times(self.operator._rmv(x), conjugate=True)
