"""Multigrid over blocks of cells: what a cycle works on, and the cycle in plain torch, differentiable in everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["AggregationLevel", "AggregationLevels", "aggregation_cycle", "block_sum", "neighbours", "red_cells"]


@dataclass(frozen=True)
class AggregationLevel:
    """One grid and the way to the next coarser one, P = diag(fine) P₀ diag(coarse) with P₀ the copy to a block's cells.

    Relaxing cell i for the right-hand side r sets uᵢ to ``keepᵢ uᵢ + weightᵢ (rᵢ + Σⱼ kᵢⱼ uⱼ)``: keep = 1 − ω and
    weight = ω / D, both zero in cells without links and mass, where u therefore vanishes.

    Parameters
    ----------
    links
        kᵢⱼ to the next cell of each axis, ``(batch, d, *grid)``; zero for the last cell.
    keep, weight
        ``(batch, *grid)``; red cells (even index sum) and black ones have relaxation factors of their own.
    fine, coarse
        The transfer's factors, ``(1 or batch, *grid)`` on this grid and on the coarser one; axes of length 1 repeat.
    """

    links: Tensor
    keep: Tensor
    weight: Tensor
    fine: Tensor
    coarse: Tensor

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(self.keep.shape[1:])

    @cached_property
    def red(self) -> Tensor:
        """Cells with an even index sum, ``grid``."""
        return red_cells(self.grid, self.keep.device)

    def repeated(self, batch: int) -> AggregationLevel:
        """The level for a batch that is a multiple of its own."""
        if self.keep.shape[0] == batch:
            return self
        parts = self.links, self.keep, self.weight, self.fine, self.coarse
        return AggregationLevel(*(_repeat(part, batch) for part in parts))


@dataclass(frozen=True)
class AggregationLevels:
    """All levels but the coarsest, finest first, and the (pseudo-)inverse ``(batch, n, n)`` of the coarsest matrix.

    `prepared` holds what a backend derives from it (packed buffers), by backend name.
    """

    levels: tuple[AggregationLevel, ...]
    coarse_inverse: Tensor
    coarsest: tuple[int, ...]
    prepared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, backend: str, build: Callable[[AggregationLevels], Any]) -> Any:
        """The thing of this name, built once."""
        if backend not in self.prepared:
            self.prepared[backend] = build(self)
        return self.prepared[backend]


def aggregation_cycle(levels: AggregationLevels, r: Tensor) -> Tensor:
    """One symmetric V(1,1)-cycle from zero for A z = r.

    Red cells are relaxed, then black ones, the residual is summed over blocks, and after the coarse correction come
    black, then red. From zero, red cells need no neighbours, and the residual of what was just relaxed is known without
    another product: two passes of the stencil in all.

    Parameters
    ----------
    levels
        From `solvers.aggregation_levels`; differentiable in what it was made from.
    r
        ``(batch, *grid)``, any multiple of the levels' batch.

    Returns
    -------
    Tensor
        z like r, zero in cells without links and mass.

    Examples
    --------
    >>> import torch
    >>> from solvers import TEXTBOOK, CellGraph, aggregation_levels, finite_volume_operator
    >>> A = finite_volume_operator(torch.ones(8, 8, dtype=torch.float64), spacing=1 / 8)
    >>> levels = aggregation_levels(CellGraph.of(A), TEXTBOOK)
    >>> b = torch.ones(1, 8, 8, dtype=torch.float64)
    >>> z = aggregation_cycle(levels, b)
    >>> bool((b.flatten() - A.mv(z.flatten())).norm() < 0.5 * b.norm())
    True
    """
    return _correct(levels, 0, r)


def _correct(levels: AggregationLevels, number: int, r: Tensor) -> Tensor:
    """The cycle from level `number` downwards."""
    if number == len(levels.levels):
        inverse = _repeat(levels.coarse_inverse, r.shape[0])
        return (inverse @ r.flatten(1).unsqueeze(-1)).reshape(r.shape)
    level = levels.levels[number].repeated(r.shape[0])
    red, keep, weight = level.red, level.keep, level.weight
    u = torch.where(red, weight * r, 0)
    known = r + neighbours(level.links, u)
    u = torch.where(red, u, weight * known)
    # What is left of an equation that was just relaxed from zero is its part 1 − ω.
    residual = torch.where(red, keep * r + neighbours(level.links, u), keep * known)
    rhs = level.coarse * block_sum(level.fine * residual)
    e = level.coarse * _correct(levels, number + 1, rhs)
    u = u + level.fine * _copy_to_block(e, level.grid)
    for colour in (~red, red):
        u = torch.where(colour, keep * u + weight * (r + neighbours(level.links, u)), u)
    return u


def red_cells(grid: tuple[int, ...], device: torch.device) -> Tensor:
    """The cells with an even index sum."""
    axes = [torch.arange(n, device=device) for n in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0) % 2 == 0


def neighbours(links: Tensor, u: Tensor) -> Tensor:
    """Σⱼ kᵢⱼ uⱼ for links ``(batch, d, *grid)`` and u ``(batch, *grid)``."""
    d = u.ndim - 1
    total = torch.zeros_like(u)
    for k in range(d):
        link = links.select(1, k)
        total = total + link * u.roll(-1, k + 1) + (link * u).roll(1, k + 1)
    return total


def block_sum(field: Tensor, skip: int | None = None) -> Tensor:
    """The sums over blocks of two cells along every axis of ``(batch, *grid)`` but `skip`; a last odd cell is alone."""
    for axis in range(1, field.ndim):
        if axis != skip and field.shape[axis] > 1:
            n = field.shape[axis]
            if n % 2:
                field = torch.cat([field, torch.zeros_like(field.narrow(axis, 0, 1))], axis)
            field = field.unflatten(axis, (-1, 2)).sum(axis + 1)
    return field


def _copy_to_block(e: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The transpose of `block_sum`."""
    for axis, n in enumerate(grid, start=1):
        if n > 1:
            e = e.repeat_interleave(2, axis).narrow(axis, 0, n)
    return e


def _repeat(tensor: Tensor, batch: int) -> Tensor:
    own = tensor.shape[0]
    return tensor if own in (1, batch) else tensor.repeat(batch // own, *(1,) * (tensor.ndim - 1))
