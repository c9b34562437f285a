"""The plain data that kernels work on: the links of a grid operator, grid transfers, a multigrid hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "AxisTransfer",
    "Level",
    "Levels",
    "Links",
    "Smoothing",
    "axis_transfer",
    "cubic_transfer",
    "source_transfer",
]


@dataclass(frozen=True)
class Links:
    """A symmetric (2d+1)-point operator: (A u)ᵢ = diagonalᵢ uᵢ − Σ_k (cₖ(i) u(i + eₖ) + cₖ(i − eₖ) u(i − eₖ)).

    `data` is ``(batch, d + 2, *grid)``: the links c_0 … c_{d−1} to the next point of each axis, the diagonal, and its
    inverse (0 where the diagonal is 0). Indices wrap around; the last link of an axis is 0 unless it is periodic.
    """

    data: Tensor

    @staticmethod
    def build(upper: Sequence[Tensor], diagonal: Tensor) -> Links:
        """From tensors ``(*batch, *grid)``; the batch is flattened."""
        grid = diagonal.shape[-len(upper) :]
        inverse = torch.where(diagonal != 0, 1 / diagonal, 0)
        data = torch.stack([*upper, diagonal, inverse], dim=-len(grid) - 1)
        return Links(data.reshape(-1, len(upper) + 2, *grid))

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(self.data.shape[2:])

    def matching(self, own: torch.Size, wanted: torch.Size) -> Links:
        """Links whose batch, repeated, runs along the flattened batch `wanted`; `own` is its own batch."""
        if own == wanted[len(wanted) - len(own) :] or own.numel() == 1:
            return self
        data = self.data.reshape(*own, *self.data.shape[1:]).expand(*wanted, *self.data.shape[1:])
        return Links(data.reshape(-1, *self.data.shape[1:]))


@dataclass(frozen=True)
class AxisTransfer:
    """Interpolation along one axis: fine(i) = Σ_w weight[i, w] · coarse(index[i, w]); restriction is its transpose."""

    index: Tensor
    weight: Tensor
    coarse: int

    @cached_property
    def matrix(self) -> Tensor:
        """The same as a dense ``(fine, coarse)`` matrix, float64."""
        dense = torch.zeros(self.index.shape[0], self.coarse, dtype=torch.float64)
        return dense.scatter_add(1, self.index, self.weight)

    @cached_property
    def transposed(self) -> AxisTransfer:
        """The table of the transpose: the (at most 4) fine points that each coarse point feeds."""
        columns = self.matrix.T
        order = columns.abs().argsort(dim=1, descending=True, stable=True)[:, :4]
        return AxisTransfer(order, columns.gather(1, order), self.index.shape[0])


def axis_transfer(coarse: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """Linear interpolation from `coarse` points.

    Cells: 3/4 of the parent, 1/4 of its neighbour. Vertices: the coincident point, or the mean of two.
    Beyond a boundary the coarse function continues as `low` (`high`) times its boundary value: −1 odd, +1 even for
    cells; 0 on a Dirichlet boundary vertex, 1 if it is free.
    """
    if alignment == "cell":
        fine = torch.arange(2 * coarse)
        parent = fine // 2
        other = parent + 2 * (fine % 2) - 1
        index = torch.stack([parent, other], 1)
        weight = torch.tensor([0.75, 0.25], dtype=torch.float64).repeat(2 * coarse, 1)
    else:
        fine = torch.arange(2 * coarse + 1)
        index = torch.stack([(fine - 1) // 2, fine // 2], 1)
        weight = torch.full((2 * coarse + 1, 2), 0.5, dtype=torch.float64)
    if periodic:
        return AxisTransfer(index % coarse, weight, coarse)
    weight = torch.where(index < 0, low * weight, torch.where(index >= coarse, high * weight, weight))
    return AxisTransfer(index.clamp(0, coarse - 1), weight, coarse)


def source_transfer(coarse: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """The transfer whose transpose carries a right-hand side (integrals over cells) to the coarse grid.

    A coarse cell integrates over its two halves; the transpose of linear interpolation would lose a quarter of the
    source beside an odd boundary, where it belongs for residuals only.
    """
    if alignment == "vertex":
        return axis_transfer(coarse, alignment, low, high, periodic)
    return AxisTransfer(torch.arange(2 * coarse)[:, None] // 2, torch.ones(2 * coarse, 1, dtype=torch.float64), coarse)


def cubic_transfer(coarse: int, alignment: str, low: float, high: float, periodic: bool) -> AxisTransfer:
    """Cubic interpolation from `coarse` points, for the first guess of nested iteration; needs 4 points, else linear.

    Cells: (−7, 105, 35, −5)/128 (Lagrange at quarter points); vertices: (−1, 9, 9, −1)/16 between points. Ghost points
    are the odd (Dirichlet) or even (Neumann) reflection.
    """
    if coarse < 4:
        return axis_transfer(coarse, alignment, low, high, periodic)
    if alignment == "cell":
        fine = torch.arange(2 * coarse)
        side = 2 * (fine % 2) - 1
        index = fine[:, None] // 2 + side[:, None] * torch.tensor([-1, 0, 1, 2])
        weight = torch.tensor([-7.0, 105.0, 35.0, -5.0], dtype=torch.float64).repeat(2 * coarse, 1) / 128
        mirror_low, mirror_high = -1 - index, 2 * coarse - 1 - index
        signs = low, high
    else:
        fine = torch.arange(2 * coarse + 1)
        index = (fine[:, None] - 1) // 2 + torch.tensor([-1, 0, 1, 2])
        between = torch.tensor([-1.0, 9.0, 9.0, -1.0], dtype=torch.float64) / 16
        coincident = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
        weight = torch.where(fine[:, None] % 2 == 0, between, coincident)
        # The boundary vertex itself (index −1, value 0) is dropped; beyond it the reflection is odd.
        weight = torch.where((index == -1) | (index == coarse), 0 * weight, weight)
        mirror_low, mirror_high = -2 - index, 2 * coarse - index
        signs = -1.0, -1.0
    if periodic:
        return AxisTransfer(index % coarse, weight, coarse)
    weight = torch.where(index < 0, signs[0] * weight, torch.where(index >= coarse, signs[1] * weight, weight))
    index = torch.where(index < 0, mirror_low, torch.where(index >= coarse, mirror_high, index))
    return AxisTransfer(index.clamp(0, coarse - 1), weight, coarse)


@dataclass(frozen=True)
class Smoothing:
    """`pre` sweeps before, `post` after the coarse correction; red-black Gauss-Seidel if `omega` is None, or Jacobi."""

    pre: int
    post: int
    omega: float | None


@dataclass(frozen=True)
class Level:
    """One grid: its links and the transfers per axis to the next coarser one (none on the coarsest).

    `linear` serves corrections, `source` and `cubic` the right-hand sides and first guesses of nested iteration.
    """

    links: Links
    linear: tuple[AxisTransfer, ...] = ()
    source: tuple[AxisTransfer, ...] = ()
    cubic: tuple[AxisTransfer, ...] = ()


@dataclass(frozen=True)
class Levels:
    """A hierarchy from fine to coarse; the coarsest is solved by ``coarse_inverse (batch, n, n)``.

    `prepared` holds what a backend derives from it (packed buffers), by backend name.
    """

    levels: tuple[Level, ...]
    coarse_inverse: Tensor
    smoothing: Smoothing
    prepared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, backend: str, build: Callable[[Levels], Any]) -> Any:
        if backend not in self.prepared:
            self.prepared[backend] = build(self)
        return self.prepared[backend]
