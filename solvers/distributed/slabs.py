"""How a structured grid is cut into slabs, and what a stencil reaches across each cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.distributed.exchange import HaloExchange
from solvers.distributed.partition import Partition
from solvers.distributed.reductions import agree
from solvers.errors import ShapeError
from solvers.operators.stencil import StencilOperator

__all__ = ["Cut", "Slabs"]

Offsets = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Cut:
    """The planes on both sides of one end of a slab: the halo's, and the own ones that the stencil joins to them.

    Together they are a small grid on which the coupling across the cut is a `StencilOperator`. Vectors on this grid are
    zero on one of the sides, so that only what crosses the cut is counted.

    Parameters
    ----------
    offsets, periodic
        The stencil's; the first axis is never periodic here.
    grid
        The local slab.
    below
        The halo lies before the slab; else behind it.
    halo
        Places ``(h,)`` of this side's planes in the exchanged halo.
    own
        How many own planes are joined to them.
    """

    offsets: Offsets
    periodic: tuple[bool, ...]
    grid: tuple[int, ...]
    below: bool
    halo: Tensor
    own: int

    @property
    def first(self) -> int:
        """The first of the own planes."""
        return 0 if self.below else self.grid[0] - self.own

    def operator(self, coefficients: Tensor) -> StencilOperator:
        """The coupling, from the slab's coefficients ``(*batch, p, *grid)``; rows of the halo are zero."""
        d = len(self.grid)
        own = coefficients.narrow(-d, self.first, self.own)
        outside = own.new_zeros(*own.shape[:-d], self.halo.numel(), *self.grid[1:])
        return StencilOperator(self.offsets, self._joined(outside, own, -d), self.periodic)

    def gradient(self, part: Tensor) -> Tensor:
        """The derivative by `operator`'s coefficients as one by the slab's."""
        d = len(self.grid)
        own = part.narrow(-d, self.halo.numel() if self.below else 0, self.own)
        before, behind = (
            own.new_zeros(*own.shape[:-d], planes, *self.grid[1:])
            for planes in (self.first, self.grid[0] - self.own - self.first)
        )
        return torch.cat([before, own, behind], -d)

    def from_halo(self, halo: Tensor) -> Tensor:
        """The exchanged halo on the small grid, zero on the own planes."""
        outside = self._planes(halo).index_select(-2, self.halo)
        inside = outside.new_zeros(*outside.shape[:-2], self.own, outside.shape[-1])
        return self._joined(outside, inside, -2).flatten(-2)

    def from_own(self, x: Tensor) -> Tensor:
        """A vector of the slab on the small grid, zero on the halo's planes."""
        inside = self._planes(x).narrow(-2, self.first, self.own)
        outside = inside.new_zeros(*inside.shape[:-2], self.halo.numel(), inside.shape[-1])
        return self._joined(outside, inside, -2).flatten(-2)

    def add_to_own(self, y: Tensor, crossed: Tensor) -> None:
        """Add the own planes of a vector of the small grid to a vector of the slab, in place."""
        inside = self._planes(crossed).narrow(-2, self.halo.numel() if self.below else 0, self.own)
        self._planes(y).narrow(-2, self.first, self.own).add_(inside)

    def add_to_halo(self, halo: Tensor, crossed: Tensor) -> None:
        """Add the halo's planes of a vector of the small grid to the exchanged halo, in place."""
        outside = self._planes(crossed).narrow(-2, 0 if self.below else self.own, self.halo.numel())
        self._planes(halo).index_add_(-2, self.halo, outside)

    def _joined(self, outside: Tensor, inside: Tensor, axis: int) -> Tensor:
        return torch.cat([outside, inside] if self.below else [inside, outside], axis)

    def _planes(self, x: Tensor) -> Tensor:
        plane = torch.Size(self.grid[1:]).numel()
        return x.unflatten(-1, (x.shape[-1] // plane, plane))


class Slabs:
    """A grid whose first axis is split by a partition: the local grid, the exchange of planes, the two cuts.

    All processes build it together.

    Parameters
    ----------
    offsets
        The neighbours that the stencil joins.
    planes
        Partition of the first axis.
    rest
        The lengths of the other axes.
    periodic
        One flag an axis.
    device
        Where the vectors are.

    Raises
    ------
    ShapeError
        A slab would meet itself around the periodic axis.
    """

    def __init__(
        self,
        offsets: Offsets,
        planes: Partition,
        rest: Sequence[int],
        periodic: Sequence[bool],
        device: torch.device,
    ) -> None:
        self.offsets, self.planes, self.grid, self.device = offsets, planes, (planes.count, *rest), device
        alone = planes.count == planes.total
        #: Whether the slab wraps around by itself: along the first axis only if it is the whole grid.
        self.periodic = (periodic[0] and alone, *periodic[1:])
        plane = torch.Size(rest).numel()
        self.partition = planes.scaled(plane)
        steps = [offset[0] for offset in offsets]
        reach = max(0, -min(steps)), max(0, max(steps))
        agree(self._mistake(max(reach), periodic[0]), planes.group)
        positions = self._positions(reach, periodic[0])
        planes_wanted = torch.cat(positions).to(device) % max(1, planes.total)
        wanted, place = torch.unique(planes_wanted, return_inverse=True)
        self.exchange = HaloExchange(wanted, planes, plane)
        self.halo_size = wanted.numel() * plane
        sides = place.split([side.numel() for side in positions])
        self.cuts = [
            Cut(offsets, (False, *periodic[1:]), self.grid, side == 0, sides[side], min(planes.count, reach[side]))
            for side in (0, 1)
            if sides[side].numel()
        ]

    def _mistake(self, reach: int, wraps: bool) -> ShapeError | None:
        planes = self.planes
        if wraps and 0 < planes.count < planes.total < planes.count + reach:
            return ShapeError(
                f"process {planes.rank} owns {planes.count} of {planes.total} planes of a periodic axis, and a stencil "
                f"that reaches {reach} planes meets it again on the way round: use more even offsets"
            )
        return None

    def _positions(self, reach: tuple[int, int], wraps: bool) -> tuple[Tensor, Tensor]:
        """The planes below and above this slab that the stencil reaches, numbered on beyond both ends of the axis."""
        begin, count, total = self.planes.begin, self.planes.count, self.planes.total
        if count in (0, total):
            return torch.arange(0), torch.arange(0)
        end = begin + count
        low, high = begin - reach[0], end + reach[1]
        if not wraps:
            low, high = max(low, 0), min(high, total)
        return torch.arange(low, begin), torch.arange(end, high)
