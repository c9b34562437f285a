"""Which points of a grid each expert solves on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from sciml.errors import LearnerError

__all__ = ["Boxes", "Extent"]

#: First and one past the last index along every axis.
Extent = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Boxes:
    """Disjoint sets of points of a grid, padded to one size.

    Attributes
    ----------
    shape
        Of the grid.
    points
        Flat indices ``(K, p)``, int64; padding points beyond the grid.
    owner
        The expert of every point, ``(G,)`` int64.

    Examples
    --------
    >>> import torch
    >>> boxes = Boxes.from_owner((4,), torch.tensor([0, 0, 0, 1]))
    >>> boxes.points
    tensor([[0, 1, 2],
            [3, 4, 4]])
    """

    shape: tuple[int, ...]
    points: Tensor
    owner: Tensor

    @classmethod
    def whole(cls, shape: tuple[int, ...], device: torch.device | None = None) -> Boxes:
        """One box: the grid."""
        return cls.from_owner(shape, torch.zeros(torch.Size(shape).numel(), dtype=torch.int64, device=device))

    @classmethod
    def from_owner(cls, shape: tuple[int, ...], owner: Tensor) -> Boxes:
        """The boxes of experts 0 … K − 1, where ``owner`` has one of these numbers for every point."""
        count = int(owner.max()) + 1
        sizes = torch.bincount(owner, minlength=count)
        if bool((sizes == 0).any()):
            empty = int((sizes == 0).nonzero()[0])
            raise LearnerError(
                f"experts: expert {empty} of {count} has no point of the grid {tuple(shape)}; use fewer experts"
            )
        return cls(tuple(shape), _padded(owner, torch.ones_like(owner, dtype=torch.bool), sizes), owner)

    @property
    def count(self) -> int:
        """Number of experts K."""
        return self.points.shape[0]

    @property
    def size(self) -> int:
        """Number of points of the grid G."""
        return self.owner.numel()

    @property
    def mask(self) -> Tensor:
        """Where `points` are points, ``(K, p)`` bool."""
        return self.points < self.size

    @property
    def loads(self) -> Tensor:
        """Points of each expert, ``(K,)``."""
        return self.mask.sum(-1)

    @cached_property
    def natural(self) -> bool:
        """Whether there is one box with all points in the order of the grid."""
        return self.points.shape == (1, self.size) and bool((self.points[0].diff() == 1).all())

    @cached_property
    def _padding(self) -> Tensor:
        """Where `points`, flat, are none."""
        return (~self.mask).flatten().nonzero().squeeze(-1)

    @cached_property
    def _chosen(self) -> Tensor:
        """`points`, flat, with any point of the grid in the padding."""
        return self.points.flatten().clamp(max=self.size - 1)

    @cached_property
    def _sources(self) -> Tensor:
        """Where each point of the grid is among `points`, flat; followed by the points of the grid, if it is not."""
        count = self.points.numel()
        sources = torch.arange(count, count + self.size + 1, device=self.points.device)
        sources[self.points.flatten()] = torch.arange(count, device=self.points.device)
        return sources[:-1]

    @property
    def extent(self) -> Extent:
        """The smallest box of the grid that holds all points: first and one past the last index along every axis."""
        places = torch.stack(torch.unravel_index(self.points[self.mask], self.shape))
        return tuple((int(a), int(b) + 1) for a, b in zip(places.amin(1), places.amax(1), strict=True))

    def within(self, extent: Extent) -> Boxes:
        """The same points on the part of the grid that is `extent`, in which they lie."""
        part = tuple(slice(a, b) for a, b in extent)
        chosen = torch.arange(self.size, device=self.points.device).unflatten(0, self.shape)[part]
        number = torch.full((self.size + 1,), chosen.numel(), device=self.points.device)
        number[chosen.flatten()] = torch.arange(chosen.numel(), device=self.points.device)
        return Boxes(tuple(chosen.shape), number[self.points], self.owner[chosen.flatten()])

    def without(self, excluded: Tensor) -> Boxes:
        """The same boxes without some points, ``(G,)`` bool, which still have an owner."""
        kept = ~excluded
        sizes = torch.bincount(self.owner[kept], minlength=self.count)
        return Boxes(self.shape, _padded(self.owner, kept, sizes), self.owner)

    def first_of(self, chosen: Tensor) -> Tensor:
        """The first of some points ``(B, G)`` that each expert has: flat indices ``(B, K)``, G where there is none."""
        numbers = torch.where(chosen, torch.arange(self.size, device=chosen.device), self.size)
        found = numbers.new_full((len(chosen), self.count), self.size)
        return found.scatter_reduce(1, self.owner.expand_as(numbers), numbers, "amin")

    def only(self, experts: slice) -> Boxes:
        """The points of some experts; every point keeps its owner."""
        points = self.points[experts]
        longest = int((points < self.size).sum(-1).amax())
        return Boxes(self.shape, points[:, :longest], self.owner)

    def drawn(self, number: int, generator: Generator | None) -> Boxes:
        """At most ``number`` points of each box, drawn without replacement."""
        if number >= self.points.shape[1]:
            return self
        order = torch.rand(self.points.shape, generator=generator, device=generator.device if generator else None)
        order = torch.where(self.mask, order.to(self.points.device), 2).argsort(-1)[:, :number]
        return Boxes(self.shape, self.points.gather(1, order), self.owner)

    def gather(self, fields: Tensor) -> Tensor:
        """Values ``(…, G)`` in the boxes, ``(…, K, p)``; zero in the padding."""
        if self.natural:
            return fields.unsqueeze(-2)
        values: Tensor = _Gather.apply(fields, self)
        return values

    def scatter(self, values: Tensor, background: Tensor) -> Tensor:
        """Values ``(…, K, p)`` on the grid ``(…, G)``, with `background` where no box has a point."""
        if self.natural:
            return values.squeeze(-2)
        whole: Tensor = _Scatter.apply(values, background, self)
        return whole


# No point is in two boxes, so that each of these maps is the transpose of the other; autograd would add entry by entry.


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fields: Tensor, boxes: Boxes) -> Tensor:
        ctx.boxes = boxes
        values = fields.index_select(-1, boxes._chosen).index_fill_(-1, boxes._padding, 0)
        return values.unflatten(-1, boxes.points.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (g,) = gradients
        # Padding goes to a place beyond the grid.
        whole = g.new_zeros(*g.shape[:-2], ctx.boxes.size + 1)
        return whole.index_copy_(-1, ctx.boxes.points.flatten(), g.flatten(-2))[..., :-1], None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, background: Tensor, boxes: Boxes) -> Tensor:
        ctx.boxes, ctx.shape = boxes, background.shape
        flat = values.flatten(-2)
        both = torch.cat([flat, background.expand(*flat.shape[:-1], -1)], -1)
        return both.index_select(-1, boxes._sources)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g,), boxes = gradients, ctx.boxes
        outside = boxes._sources >= boxes.points.numel()
        below = torch.where(outside, g, 0).sum_to_size(ctx.shape) if ctx.needs_input_grad[1] else None
        return boxes.gather(g), below, None


def _padded(owner: Tensor, kept: Tensor, sizes: Tensor) -> Tensor:
    count, longest = len(sizes), int(sizes.max())
    points = torch.full((count, longest), owner.numel(), dtype=torch.int64, device=owner.device)
    chosen = kept.nonzero().squeeze(-1)
    chosen = chosen[owner[chosen].argsort(stable=True)]
    own = owner[chosen]
    rank = torch.arange(len(chosen), device=owner.device) - (sizes.cumsum(0) - sizes)[own]
    points[own, rank] = chosen
    return points
