"""Operators on cells between reflecting walls that are diagonal in the discrete cosine transform."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.constants import Constant
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator

__all__ = ["CosineMultiplier", "cosine_basis"]


class CosineMultiplier(LinearForwardOperator):
    """Qᵀ Λ Q with the orthonormal cosine transform Q (DCT-II) along every axis of the grid; self-adjoint.

    Such are convolutions with symmetric kernels and functions of the Laplacian between reflecting (Neumann) walls. The
    transforms are matrix products: exact, and on a processor as fast as an FFT up to some hundred points an axis.

    Parameters
    ----------
    input_shape
        (channels, *grid).
    multipliers
        Λ, shape ``grid``.

    Raises
    ------
    OperatorError
        If the multipliers have another shape, or are not finite.
    """

    def __init__(self, input_shape: Sequence[int], multipliers: Tensor) -> None:
        self._shape = tuple(input_shape)
        if tuple(multipliers.shape) != self._shape[1:] or not bool(multipliers.isfinite().all()):
            raise OperatorError(
                f"{self.name}: multipliers {tuple(multipliers.shape)}: finite ones of the grid's shape "
                f"{self._shape[1:]} are expected."
            )
        self.multipliers = Constant(multipliers.to(torch.float64))
        self._bases = [Constant(cosine_basis(n)) for n in self._shape[1:]]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._shape

    def norm(self) -> float:
        """max |Λ|, exactly."""
        return float(self.multipliers.values.abs().max())

    def _apply(self, x: Tensor) -> Tensor:
        waves = x
        for axis, basis in enumerate(self._bases):
            waves = _along(axis + 2, basis.like(x), waves)
        waves = waves * self.multipliers.like(x)
        for axis, basis in enumerate(self._bases):
            waves = _along(axis + 2, basis.like(x).mT, waves)
        return waves

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y)


def cosine_basis(n: int) -> Tensor:
    """The orthonormal DCT-II matrix Q, float64 ``(n, n)``: row k is √(2/n) cos(π k (i + 1/2) / n), row 0 is √(1/n).

    Examples
    --------
    >>> Q = cosine_basis(5)
    >>> torch.allclose(Q @ Q.mT, torch.eye(5, dtype=torch.float64))
    True
    """
    index = torch.arange(n, dtype=torch.float64)
    waves = torch.cos(math.pi * index[:, None] * (index + 0.5) / n) * math.sqrt(2 / n)
    waves[0] = 1 / math.sqrt(n)
    return waves


def _along(axis: int, matrix: Tensor, x: Tensor) -> Tensor:
    return (x.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
