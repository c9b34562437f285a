"""Grid transfers of nested iteration: fixed weights along each axis, for right-hand sides and first guesses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["AxisTransfer", "cubic_transfer", "identity_transfer", "linear_transfer", "source_transfer"]

_CELL = torch.tensor([-7.0, 105.0, 35.0, -5.0], dtype=torch.float64) / 128
_BETWEEN = torch.tensor([-1.0, 9.0, 9.0, -1.0], dtype=torch.float64) / 16
_COINCIDENT = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class AxisTransfer:
    """Interpolation along one axis: fine(i) = Σ_w weight[i, w] · coarse(index[i, w]); restriction is its transpose."""

    index: Tensor
    weight: Tensor
    coarse: int

    @cached_property
    def matrix(self) -> Tensor:
        """The same as a dense ``(fine, coarse)`` matrix, float64."""
        dense = torch.zeros(self.index.shape[0], self.coarse, dtype=torch.float64, device=self.index.device)
        return dense.scatter_add(1, self.index, self.weight)

    @cached_property
    def transposed(self) -> AxisTransfer:
        """The table of the transpose: the (at most 4) fine points that each coarse point feeds."""
        columns = self.matrix.T
        order = columns.abs().argsort(dim=1, descending=True, stable=True)[:, :4]
        return AxisTransfer(order, columns.gather(1, order), self.index.shape[0])

    def to(self, device: torch.device) -> AxisTransfer:
        return AxisTransfer(self.index.to(device), self.weight.to(device), self.coarse)


def identity_transfer(n: int) -> AxisTransfer:
    """Along an axis that is not coarsened."""
    return AxisTransfer(torch.arange(n)[:, None], torch.ones(n, 1, dtype=torch.float64), n)


def linear_transfer(n: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """Linear interpolation to `n` points.

    Cells: 3/4 of the parent, 1/4 of its neighbour; the last of an odd number is its own parent. Vertices: the
    coincident point, or the mean of two. Beyond a boundary the coarse function continues as `low` (`high`) times its
    boundary value: −1 odd, +1 even for cells; 0 on a Dirichlet boundary vertex, 1 if it is free.
    """
    fine = torch.arange(n)
    if alignment == "cell":
        coarse, parent = (n + 1) // 2, fine // 2
        index = torch.stack([parent, parent + 2 * (fine % 2) - 1], 1)
        weight = torch.tensor([0.75, 0.25], dtype=torch.float64).repeat(n, 1)
        if n % 2:
            weight[-2:-1] = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
            weight[-1] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    else:
        coarse = n // 2
        index = torch.stack([(fine - 1) // 2, fine // 2], 1)
        weight = torch.full((n, 2), 0.5, dtype=torch.float64)
    if periodic:
        return AxisTransfer(index % coarse, weight, coarse)
    weight = torch.where(index < 0, low * weight, torch.where(index >= coarse, high * weight, weight))
    return AxisTransfer(index.clamp(0, coarse - 1), weight, coarse)


def source_transfer(n: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """The transfer whose transpose carries a right-hand side (integrals over cells) to the coarse grid.

    A coarse cell integrates over its two halves; the transpose of linear interpolation would lose a quarter of the
    source beside an odd boundary, where it belongs for residuals only.
    """
    if alignment == "vertex":
        return linear_transfer(n, alignment, low, high, periodic)
    return AxisTransfer(torch.arange(n)[:, None] // 2, torch.ones(n, 1, dtype=torch.float64), (n + 1) // 2)


def cubic_transfer(n: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """Cubic interpolation to `n` points, for the first guess of nested iteration.

    Cells: (−7, 105, 35, −5)/128 (Lagrange at quarter points); vertices: (−1, 9, 9, −1)/16 between points. Ghost points
    are the odd (Dirichlet) or even (Neumann) reflection. Linear below 4 coarse points, and where the grid does not
    halve evenly (an odd number of cells, an even one of vertices).
    """
    uneven = n % 2 == (1 if alignment == "cell" else 0)
    fine = torch.arange(n)
    if n // 2 < 4 or uneven:
        return linear_transfer(n, alignment, low, high, periodic)
    coarse = n // 2
    if alignment == "cell":
        side = 2 * (fine % 2) - 1
        index = fine[:, None] // 2 + side[:, None] * torch.tensor([-1, 0, 1, 2])
        weight = _CELL.repeat(n, 1)
        mirror_low, mirror_high = -1 - index, 2 * coarse - 1 - index
        signs = low, high
    else:
        index = (fine[:, None] - 1) // 2 + torch.tensor([-1, 0, 1, 2])
        weight = torch.where(fine[:, None] % 2 == 0, _BETWEEN, _COINCIDENT)
        # The boundary vertex itself (index −1, value 0) is dropped; beyond it the reflection is odd.
        weight = torch.where((index == -1) | (index == coarse), 0 * weight, weight)
        mirror_low, mirror_high = -2 - index, 2 * coarse - index
        signs = -1.0, -1.0
    if periodic:
        return AxisTransfer(index % coarse, weight, coarse)
    weight = torch.where(index < 0, signs[0] * weight, torch.where(index >= coarse, signs[1] * weight, weight))
    index = torch.where(index < 0, mirror_low, torch.where(index >= coarse, mirror_high, index))
    return AxisTransfer(index.clamp(0, coarse - 1), weight, coarse)
