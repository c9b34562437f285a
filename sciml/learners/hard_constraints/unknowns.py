"""Which of a least-squares problem's unknowns a process has the columns of: all, or its share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.distributed.reductions import all_sum

__all__ = ["ALL", "AllUnknowns", "SharedUnknowns", "Unknowns", "shares"]


class Unknowns(ABC):
    """Every process has all values x ``(…, n)`` and rows ``(…, m)``; of columns it has those of its own unknowns.

    Products J x are sums over processes, products Jᵀr are gathered; products of columns with each other go point by
    point: there every process has all columns in its part of the rows.
    """

    #: How many processes give the same gradient to what is not shared; their mean is taken.
    copies: int = 1

    @abstractmethod
    def count(self, own: int) -> int:
        """n, where so many are this process's own."""

    @abstractmethod
    def own(self, x: Tensor) -> Tensor:
        """This process's part ``(…, n_own)`` of x ``(…, n)``."""

    @abstractmethod
    def summed(self, x: Tensor) -> Tensor:
        """Σ over processes, differentiable."""

    @abstractmethod
    def gathered(self, own: Tensor) -> Tensor:
        """x ``(…, n)`` of all processes' parts ``(…, n_own)``; not differentiable."""

    @abstractmethod
    def spread(self, columns: Tensor) -> Tensor:
        """All columns ``(…, n, m_own)`` in this process's rows, of its columns ``(…, n_own, m)`` in all rows."""

    @abstractmethod
    def part(self, rows: Tensor) -> Tensor:
        """This process's part ``(…, m_own)`` of rows ``(…, m)``."""

    @abstractmethod
    def asked(self, x: Tensor) -> Tensor:
        """x, whose gradient is the mean of what all processes ask of it."""

    def gram(self, columns: Tensor) -> Tensor:
        """JᵀJ ``(…, n, n)`` of columns ``(…, n_own, m)``."""
        part = self.spread(columns)
        return self.summed(part @ part.mT)

    def normal_equations(self, columns: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """JᵀJ and Jᵀr of columns ``(…, n_own, m)`` and r ``(…, m)``."""
        return self.gram(columns), self.gathered((columns @ value.unsqueeze(-1)).squeeze(-1))


class AllUnknowns(Unknowns):
    """One process, or the same on every one."""

    def count(self, own: int) -> int:
        return own

    def own(self, x: Tensor) -> Tensor:
        return x

    def summed(self, x: Tensor) -> Tensor:
        return x

    def gathered(self, own: Tensor) -> Tensor:
        return own

    def spread(self, columns: Tensor) -> Tensor:
        return columns

    def part(self, rows: Tensor) -> Tensor:
        return rows

    def asked(self, x: Tensor) -> Tensor:
        return x


ALL = AllUnknowns()


@dataclass(frozen=True)
class SharedUnknowns(Unknowns):
    """Consecutive unknowns of each process.

    Parameters
    ----------
    bounds
        Process r has those from ``bounds[r]`` to ``bounds[r + 1]``.
    group
        The processes; None: all.
    """

    bounds: tuple[int, ...]
    group: dist.ProcessGroup | None = None

    @property
    def copies(self) -> int:  # type: ignore[override]
        return len(self.bounds) - 1

    @property
    def rank(self) -> int:
        """Of this process."""
        return dist.get_rank(self.group)

    def count(self, own: int) -> int:
        return self.bounds[-1]

    def own(self, x: Tensor) -> Tensor:
        return x[..., self.bounds[self.rank] : self.bounds[self.rank + 1]]

    def summed(self, x: Tensor) -> Tensor:
        return all_sum(x, self.group)

    def gathered(self, own: Tensor) -> Tensor:
        sizes = [b - a for a, b in pairwise(self.bounds)]
        padded = own.new_zeros(max(sizes), *own.shape[:-1])
        padded[: own.shape[-1]] = own.detach().movedim(-1, 0)
        pieces = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(pieces, padded, group=self.group)
        return torch.cat([piece[:size] for piece, size in zip(pieces, sizes, strict=True)]).movedim(0, -1)

    def spread(self, columns: Tensor) -> Tensor:
        leading, cuts = columns.shape[:-2], shares(columns.shape[-1], self.copies)
        mine = cuts[self.rank + 1] - cuts[self.rank]
        sent = [columns[..., a:b].flatten() for a, b in pairwise(cuts)]
        sizes = [leading.numel() * (b - a) * mine for a, b in pairwise(self.bounds)]
        received = columns.new_empty(sum(sizes))
        dist.all_to_all_single(received, torch.cat(sent), sizes, [piece.numel() for piece in sent], group=self.group)
        return torch.cat([piece.reshape(*leading, -1, mine) for piece in received.split(sizes)], -2)

    def part(self, rows: Tensor) -> Tensor:
        cuts = shares(rows.shape[-1], self.copies)
        return rows[..., cuts[self.rank] : cuts[self.rank + 1]]

    def asked(self, x: Tensor) -> Tensor:
        same: Tensor = _Asked.apply(x, self)
        return same


class _Asked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, unknowns: SharedUnknowns) -> Tensor:
        ctx.unknowns = unknowns
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.unknowns.summed(gradients[0]) / ctx.unknowns.copies, None


def shares(count: int, size: int) -> tuple[int, ...]:
    """Where each of so many processes' consecutive items begin, and where the last one's end.

    Examples
    --------
    >>> shares(8, 3)
    (0, 2, 5, 8)
    """
    return tuple(count * r // size for r in range(size + 1))
