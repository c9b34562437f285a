"""What the regression sees of a sample: coefficients of its shape and the given scalars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

__all__ = ["InputColumns"]

#: A column whose values differ by less than this share of their size is constant.
_CONSTANT = 1e-10
#: Values this share of the training range beyond its ends are still inside.
_SLACK = 1e-9


@dataclass(frozen=True)
class InputColumns:
    """Which columns of (shape coefficients, scalars) vary over the training set, and how far the scalars reach.

    Attributes
    ----------
    scalars
        Names of the given scalars.
    kept
        ``(r + p,)`` bool.
    low, high
        Smallest and largest training value of each scalar ``(p,)``.

    Examples
    --------
    >>> shape = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    >>> given = torch.tensor([[3.0, 7.0], [3.0, 9.0]], dtype=torch.float64)
    >>> columns = InputColumns.of(shape, given, ("thickness", "load"))
    >>> columns.dropped, columns.outside(torch.tensor([3.0, 10.0]))
    (('thickness',), ['load = 10 (training: 7 to 9)'])
    """

    scalars: tuple[str, ...]
    kept: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, shape: Tensor, given: Tensor, scalars: tuple[str, ...]) -> Self:
        """Look at the training set: shape coefficients ``(n, r)`` and scalars ``(n, p)``."""
        low, high = (given.amin(0), given.amax(0)) if given.shape[1] else (given.new_zeros(0), given.new_zeros(0))
        size = torch.maximum(low.abs(), high.abs())
        varies = high - low > _CONSTANT * size
        return cls(scalars, torch.cat([torch.ones(shape.shape[1], dtype=torch.bool), varies]), low, high)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Scalars that are the same in all training samples: nothing can be learnt of them."""
        varies = self.kept[len(self.kept) - len(self.scalars) :].tolist()
        return tuple(name for name, kept in zip(self.scalars, varies, strict=True) if not kept)

    def __call__(self, shape: Tensor, given: Tensor) -> Tensor:
        """The regression's inputs ``(n, d)``."""
        return torch.cat([shape, given], dim=1)[:, self.kept]

    def outside(self, given: Tensor) -> list[str]:
        """In words, which scalars ``(p,)`` of a sample lie outside the training range."""
        slack = _SLACK * (self.high - self.low) + _CONSTANT * torch.maximum(self.low.abs(), self.high.abs())
        beyond = ((given < self.low - slack) | (given > self.high + slack)).tolist()
        return [
            f"{name} = {float(given[i]):.4g} (training: {float(self.low[i]):.4g} to {float(self.high[i]):.4g})"
            for i, name in enumerate(self.scalars)
            if beyond[i]
        ]
