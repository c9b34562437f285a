"""The residual of the implicit Euler steps, point by point on linear terms of the solution."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.carrier import carrier
from pde_benchmarks.diffusion_sorption.column import TYPICAL_RETARDATION, Column
from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["SorptionResidual", "row_sizes"]


class SorptionResidual(TermwiseResidual):
    """Rows on frames × cells, from the terms u, ∂τ u (backward difference) and ∂xx u (no flux through the ends).

    First frame: u − u₀. Else (m(u) − m(u − Δτ ∂τ u))/Δτ − S ∂xx u, with S κ (u − g) added in the first and the last
    cell, divided by what stands before u for R = 4: a row is the error of its cell if the others are right. The time
    difference is that of all solute, so that what is balanced is mass; to first order it is R(u) ∂τ u. In the first and
    the last cell κ outweighs the rest: u, extrapolated to the end, minus its boundary value there, plus O(h²).

    Parameters
    ----------
    column
        The data and the discretisation.
    """

    def __init__(self, column: Column) -> None:
        self._column = column
        self.shape = (column.frames, column.cells)
        self.parameters = (column.initial, column.left, column.diffusivity)
        rows = torch.zeros(self.shape, dtype=torch.bool, device=column.initial.device)
        rows[0], rows[:, 0], rows[:, -1] = True, True, True
        self.global_rows = rows

    def terms(self, fields: Tensor) -> Tensor:
        """u, ∂τ u (zero at the first frame) and ∂xx u: ``(*leading, B, 3, frames, n)``."""
        rate = torch.nn.functional.pad(fields.diff(dim=-2), (0, 0, 1, 0)) / self._column.interval
        return torch.stack([fields, rate, self._column.second_difference(fields)], -3)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """The rows of terms ``(B, 3, frames, n)``."""
        u, rate, curvature = terms.unbind(-3)
        column = self._with(parameters)
        law, interval, S = column.law, column.interval, column.rate[:, None]
        gained = (law.stored(u) - law.stored(u - interval * rate)) / interval
        exchange, sizes = column.exchange[:, None], row_sizes(column)[:, None]
        balance = (gained - S * (curvature + column.inflow - exchange * u)) / sizes
        start = u[:, :1] - column.initial[:, None]
        return torch.cat([start, balance[:, 1:]], 1)

    def slopes(self, terms: Tensor) -> Tensor:
        """∂G/∂u, ∂G/∂(∂τ u) and ∂G/∂(∂xx u) in closed form."""
        with torch.no_grad():
            u, rate, _ = terms.unbind(-3)
            law, interval, S = self._column.law, self._column.interval, self._column.rate[:, None]
            before, sizes = law.retardation(u - interval * rate), row_sizes(self._column)[:, None]
            here = (law.retardation(u) - before) / interval + S * self._column.exchange[:, None]
            slopes = torch.stack([here / sizes, before / sizes, (-S / sizes).expand_as(u)], -3)
            slopes[..., 0, :] = 0
            slopes[..., 0, 0, :] = 1
            return slopes

    def second_slopes(self, terms: Tensor) -> Mapping[tuple[int, int], Tensor]:
        """Of u and ∂τ u alone, in closed form: m(u) − m(u − Δτ ∂τ u) is the difference of two functions of one term."""
        with torch.no_grad():
            u, rate, _ = terms.unbind(-3)
            law, interval = self._column.law, self._column.interval
            sizes = row_sizes(self._column)[:, None]
            before = law.steepening(u - interval * rate) / sizes
            before[..., 0, :] = 0
            here = law.steepening(u) / sizes
            here[..., 0, :] = 0
            return {(0, 0): (here - before) / interval, (0, 1): before, (1, 1): -interval * before}

    @property
    def carrier_parameters(self) -> tuple[Tensor, ...]:
        """D."""
        return (self._column.diffusivity,)

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        """r ↦ e, implicit steps with R at ``about``: the inverse of the rows' derivative there."""
        with torch.no_grad():
            retardation = self._column.law.retardation(about)
            return carrier(self._column, retardation, row_sizes(self._column))

    def _with(self, parameters: tuple[Tensor, ...]) -> Column:
        initial, left, diffusivity = parameters
        return dataclasses.replace(self._column, initial=initial, left=left, diffusivity=diffusivity)


def row_sizes(column: Column) -> Tensor:
    """What the balance of a cell is divided by, ``(B, n)``: the diagonal of R/Δτ − S (∂xx)_h for R = 4."""
    return TYPICAL_RETARDATION / column.interval + column.rate * column.stiffness
