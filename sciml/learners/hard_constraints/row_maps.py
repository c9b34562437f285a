"""From the residual in every point of a box to the rows whose squares are summed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CarriedMap", "RowMap", "WeightedMap", "weighted_sum"]


class RowMap(ABC):
    """A linear map W from residuals ``(*leading, B, K, p)`` to rows ``(*leading, B, K, m)``, not differentiated."""

    @abstractmethod
    def __call__(self, residuals: Tensor) -> Tensor:
        """W y."""

    @property
    @abstractmethod
    def count(self) -> int:
        """m."""

    @abstractmethod
    def columns(self, slopes: Tensor, basis: Tensor) -> Tensor:
        """W of Σ_j slope_j D_j b, slopes ``(B, K, J, p)`` and terms ``(B, K, J, N, p)``: ``(B, K, N, m)``."""

    @abstractmethod
    def gram(self, residuals: Tensor) -> Tensor:
        """WᵀW y, ``(B, K, p)``."""


@dataclass(frozen=True)
class WeightedMap(RowMap):
    """Every residual by itself, times a weight ``(K, p)`` which is zero in the padding of boxes."""

    weights: Tensor

    @property
    def count(self) -> int:
        return self.weights.shape[-1]

    def __call__(self, residuals: Tensor) -> Tensor:
        return torch.where(self.weights > 0, residuals * self.weights, 0)

    def columns(self, slopes: Tensor, basis: Tensor) -> Tensor:
        # The weights go to the slopes, which are N times fewer than the columns.
        return weighted_sum(self(slopes.movedim(2, 0)).movedim(0, 2), basis)

    def gram(self, residuals: Tensor) -> Tensor:
        return self(self(residuals))


@dataclass(frozen=True)
class CarriedMap(RowMap):
    """The residual on the whole grid, K = 1, carried through an approximate inverse, in some points of the grid.

    Parameters
    ----------
    carrier
        Linear, fields ``(*leading, B, *shape)`` to such fields.
    shape
        Of the grid.
    chosen
        Flat indices ``(m,)``.
    """

    carrier: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    chosen: Tensor

    @property
    def count(self) -> int:
        return len(self.chosen)

    def __call__(self, residuals: Tensor) -> Tensor:
        carried = self.carrier(residuals.squeeze(-2).unflatten(-1, self.shape))
        return (carried.flatten(-len(self.shape))[..., self.chosen] / len(self.chosen) ** 0.5).unsqueeze(-2)

    def columns(self, slopes: Tensor, basis: Tensor) -> Tensor:
        return self(weighted_sum(slopes, basis).movedim(-2, 0)).movedim(0, -2)

    def gram(self, residuals: Tensor) -> Tensor:
        with torch.enable_grad():
            at = residuals.detach().requires_grad_()
            rows = self(at)
        return torch.autograd.grad(rows, at, rows.detach())[0]


def weighted_sum(factors: Tensor, basis: Tensor) -> Tensor:
    """Σ_j factor_j D_j b of factors ``(B, K, J, p)`` and terms ``(B, K, J, N, p)``: ``(B, K, N, p)``."""
    total = factors[:, :, 0].unsqueeze(-2) * basis[:, :, 0]
    for j in range(1, basis.shape[2]):
        total.addcmul_(factors[:, :, j].unsqueeze(-2), basis[:, :, j])
    return total
