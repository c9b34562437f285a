"""Residuals evaluated on the part of a grid that some experts own: point by point, so that nothing is approximated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch

from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import Column
from pde_benchmarks.diffusion_sorption.residual import SorptionResidual
from pde_benchmarks.elliptic_rows import EllipticRows
from pde_benchmarks.interval.burgers_rows import BurgersRows
from pde_benchmarks.navier_stokes.midpoint import VorticityRows
from pde_benchmarks.termwise import TermwiseResidual
from sciml.learners.hard_constraints.boxes import Extent

__all__ = ["Part", "on_part", "part_of"]


class Part(TermwiseResidual):
    """G on a part of the grid, with the parameters of the whole.

    It gives ``combine``, ``slopes`` and ``second_slopes`` of the rows that are no conditions. Terms and carriers are
    made on the whole grid: derivatives look beyond the part, and carrying spreads.

    Attributes
    ----------
    extent
        The part.
    """

    extent: Extent

    def terms(self, fields: Tensor) -> Tensor:
        raise NotImplementedError("terms are made on the whole grid")

    def carrier(self, about: Tensor) -> Callable[[Tensor], Tensor]:
        raise NotImplementedError("residuals are carried on the whole grid")


@singledispatch
def on_part(residual: TermwiseResidual, extent: Extent) -> Part | None:
    """G on a part of the grid that holds this one; None where it is not known how.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=5)
    >>> whole = problem.termwise(problem.sample(2, torch.Generator().manual_seed(0)))
    >>> on_part(whole, ((3, 5), (0, 4))).extent
    ((2, 5), (0, 4))
    """
    return None


def part_of(fields: Tensor, extent: Extent) -> Tensor:
    """Fields ``(…, *shape)`` in the part."""
    first = fields.ndim - len(extent)
    for axis, (begin, end) in enumerate(extent, first):
        fields = fields.narrow(axis, begin, end - begin)
    return fields


class _ElementwisePart(Part):
    """A residual whose one parameter is a field on the grid, and whose G knows no place."""

    def __init__(self, whole: TermwiseResidual, extent: Extent) -> None:
        self.whole, self.extent, self.parameters = whole, extent, whole.parameters
        self.global_rows = part_of(whole.global_rows, extent)
        self.shape = tuple(self.global_rows.shape)

    def combine(self, terms: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        (field,) = parameters
        return self.whole.combine(terms, (part_of(field, self.extent),))


@on_part.register(BurgersRows)
@on_part.register(EllipticRows)
@on_part.register(VorticityRows)
def _(residual: TermwiseResidual, extent: Extent) -> Part:
    return _ElementwisePart(residual, extent)


@dataclass(frozen=True)
class _ColumnPart(Column):
    """Some frames and cells of a column, with the numbers that they have in it."""

    whole: Column
    extent: Extent

    @classmethod
    def of(cls, whole: Column, extent: Extent) -> _ColumnPart:
        frames, cells = extent
        data = part_of(whole.initial, (cells,)), part_of(whole.left, (frames,)), whole.diffusivity
        return cls(whole.law, whole.duration, whole.right_sign, *data, whole, extent)

    @property
    def width(self) -> float:
        return self.whole.width

    @property
    def interval(self) -> float:
        return self.whole.interval

    @property
    def exchange(self) -> Tensor:
        return part_of(self.whole.exchange, self.extent[1:])

    @property
    def inflow(self) -> Tensor:
        return part_of(self.whole.inflow, self.extent)

    @property
    def stiffness(self) -> Tensor:
        return part_of(self.whole.stiffness, self.extent[1:])


class _SorptionPart(Part, SorptionResidual):
    """With one frame before those asked for: the equations take the first one for the start."""

    _column: _ColumnPart

    def __init__(self, whole: Column, extent: Extent) -> None:
        super().__init__(_ColumnPart.of(whole, extent))
        self.extent, self.parameters = extent, (whole.initial, whole.left, whole.diffusivity)

    @classmethod
    def of(cls, residual: SorptionResidual, extent: Extent) -> _SorptionPart:
        (begin, end), cells = extent
        return cls(residual._column, ((max(begin - 1, 0), end), cells))

    def _with(self, parameters: tuple[Tensor, ...]) -> Column:
        initial, left, diffusivity = parameters
        whole = replace(self._column.whole, initial=initial, left=left, diffusivity=diffusivity)
        return _ColumnPart.of(whole, self.extent)


on_part.register(SorptionResidual)(_SorptionPart.of)
