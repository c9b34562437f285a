"""Radial functions φ(r); r is measured in diagonals of the control points' box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meshes.errors import MorphingError

__all__ = ["Kernel", "Polyharmonic", "WendlandC2"]

Kernel = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Polyharmonic:
    """r^order if odd, r^order log r if even (Duchon 1977); order 2 is the thin plate, 3 the smoothest allowed here.

    With a linear polynomial the interpolation is unique up to order 3, for any distinct points not in one plane.

    Examples
    --------
    >>> Polyharmonic(2)(torch.tensor([0.0, 1.0])).tolist(), Polyharmonic(3)(torch.tensor([2.0])).tolist()
    ([0.0, 0.0], [8.0])
    """

    order: int = 2

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise MorphingError(f"polyharmonic function of order {self.order}: expected 1, 2 or 3.")

    def __call__(self, r: Tensor) -> Tensor:
        if self.order % 2:
            return r**self.order
        return r**self.order * torch.where(r > 0, r, 1).log()


@dataclass(frozen=True)
class WendlandC2:
    """(1 − r/R)⁴₊ (4 r/R + 1): positive definite in the plane and in space, twice differentiable, zero beyond R.

    Parameters
    ----------
    radius
        R in diagonals of the control points' box: beyond it, only the affine part of the displacement is left.

    Examples
    --------
    >>> WendlandC2(0.5)(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.0, 0.0]
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise MorphingError(f"radius = {self.radius}: expected a positive share of the diagonal.")

    def __call__(self, r: Tensor) -> Tensor:
        share = r / self.radius
        return (1 - share).clamp(min=0) ** 4 * (4 * share + 1)
