"""One operator after another, and an operator times a number."""

from __future__ import annotations

import math

from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator

__all__ = ["Composition", "Scaled", "normalised"]


class Composition(LinearForwardOperator):
    """``outer`` applied to what ``inner`` gives: blurred fields of which some pixels are seen, and the like.

    Raises
    ------
    OperatorError
        If the outer operator does not take what the inner one gives.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.imaging.forward_operators.pixel_mask import PixelMask
    >>> last = PixelMask(torch.tensor([False, True]))
    >>> Composition(last, PixelMask(torch.tensor([True, False, True]))).apply(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3.]]])
    """

    def __init__(self, outer: LinearForwardOperator, inner: LinearForwardOperator) -> None:
        if outer.input_shape != inner.output_shape:
            raise OperatorError(
                f"{outer.name} takes {outer.input_shape}, but {inner.name} gives {inner.output_shape}: they do not fit."
            )
        self.outer, self.inner = outer, inner

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.inner.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.outer.output_shape

    def _apply(self, x: Tensor) -> Tensor:
        return self.outer._apply(self.inner._apply(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._adjoint(y))


class Scaled(LinearForwardOperator):
    """An operator times a number.

    Raises
    ------
    OperatorError
        If the number is zero or not finite.
    """

    def __init__(self, operator: LinearForwardOperator, factor: float) -> None:
        if not math.isfinite(factor) or not factor:
            raise OperatorError(f"{operator.name} times {factor}: a finite number other than zero is expected.")
        self.operator, self.factor = operator, factor

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.operator.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.operator.output_shape

    @property
    def name(self) -> str:
        return self.operator.name

    def norm(self) -> float:
        return abs(self.factor) * self.operator.norm()

    def _apply(self, x: Tensor) -> Tensor:
        return self.factor * self.operator._apply(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.operator._adjoint(y)


def normalised(operator: LinearForwardOperator) -> Scaled:
    """The operator divided by its `norm`; data must be divided by the same number.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.imaging.forward_operators.pixel_mask import PixelMask
    >>> round(normalised(Scaled(PixelMask(torch.ones(3, dtype=torch.bool)), 5.0)).norm(), 12)
    1.0
    """
    return Scaled(operator, 1 / operator.norm())
