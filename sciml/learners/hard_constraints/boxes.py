"""Which points of a grid each expert solves on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from sciml.errors import LearnerError

__all__ = ["Boxes"]


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

    def without(self, excluded: Tensor) -> Boxes:
        """The same boxes without some points, ``(G,)`` bool, which still have an owner."""
        kept = ~excluded
        sizes = torch.bincount(self.owner[kept], minlength=self.count)
        return Boxes(self.shape, _padded(self.owner, kept, sizes), self.owner)

    def only(self, experts: slice) -> Boxes:
        """The points of some experts; every point keeps its owner."""
        return Boxes(self.shape, self.points[experts], self.owner)

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
        return torch.nn.functional.pad(fields, (0, 1))[..., self.points]

    def scatter(self, values: Tensor, background: Tensor) -> Tensor:
        """Values ``(…, K, p)`` on the grid ``(…, G)``, with `background` where no box has a point."""
        if self.natural:
            return values.squeeze(-2)
        whole = torch.nn.functional.pad(background, (0, 1)).expand(*values.shape[:-2], -1).clone()
        whole[..., self.points.flatten()] = values.flatten(-2)
        return whole[..., :-1]


def _padded(owner: Tensor, kept: Tensor, sizes: Tensor) -> Tensor:
    count, longest = len(sizes), int(sizes.max())
    points = torch.full((count, longest), owner.numel(), dtype=torch.int64, device=owner.device)
    chosen = kept.nonzero().squeeze(-1)
    chosen = chosen[owner[chosen].argsort(stable=True)]
    own = owner[chosen]
    rank = torch.arange(len(chosen), device=owner.device) - (sizes.cumsum(0) - sizes)[own]
    points[own, rank] = chosen
    return points
