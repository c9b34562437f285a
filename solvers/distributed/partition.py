"""Which process owns which unknowns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.distributed.reductions import agree, all_sum, largest, meeting_device, require_processes
from solvers.errors import DistributedError, PatternError, ShapeError
from solvers.operators.product_rule import is_differentiated

__all__ = ["Partition"]


@dataclass(frozen=True)
class Partition:
    """Contiguous ranges: process r owns the indices ``offsets[r] … offsets[r + 1] − 1``; a range may be empty.

    All processes of the group build it together, with the same offsets.

    Parameters
    ----------
    offsets
        One more than there are processes, rising from 0 to the number of indices.
    group
        The process group; None: all processes.

    Raises
    ------
    DistributedError
        torch.distributed is not initialised, or the processes gave different offsets.
    ShapeError
        The offsets are no partition.

    Examples
    --------
    >>> import torch.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> Partition.even(10).offsets
    (0, 10)
    >>> dist.destroy_process_group()
    """

    offsets: tuple[int, ...]
    group: dist.ProcessGroup | None = None

    def __post_init__(self) -> None:
        require_processes()
        if self.rank < 0:
            raise DistributedError("this process is not in the group: build the partition only on its members")
        object.__setattr__(self, "offsets", tuple(int(offset) for offset in self.offsets))
        agree(self._mistake(), self.group)
        mine = torch.tensor(self.offsets, device=meeting_device(self.group))
        if bool((largest(mine, self.group) != -largest(-mine, self.group)).any()):
            raise DistributedError(
                f"offsets {self.offsets} on process {self.rank} are not those of the others: give all the same"
            )

    @classmethod
    def even(cls, total: int, group: dist.ProcessGroup | None = None) -> Partition:
        """Ranges whose sizes differ by at most one."""
        require_processes()
        size = dist.get_world_size(group)
        return cls(tuple(total * r // size for r in range(size + 1)), group)

    @classmethod
    def from_owners(cls, owners: Tensor, group: dist.ProcessGroup | None = None) -> Partition:
        """From the owner of every index, ``(n,)`` integers that never fall (as a mesh partitioner's after sorting)."""
        require_processes()
        size = dist.get_world_size(group)
        inside = owners.numel() == 0 or 0 <= int(owners.min()) <= int(owners.max()) < size
        if owners.ndim != 1 or not inside or bool((owners[1:] < owners[:-1]).any()):
            raise PatternError(
                f"owners {tuple(owners.shape)}: expected one process number in 0 … {size - 1} per index, never "
                "falling; renumber the unknowns by owner first (argsort)"
            )
        counts = torch.bincount(owners, minlength=size)
        return cls((0, *counts.cumsum(0).tolist()), group)

    @property
    def rank(self) -> int:
        """The number of this process in the group."""
        return dist.get_rank(self.group)

    @property
    def size(self) -> int:
        """The number of processes."""
        return dist.get_world_size(self.group)

    @property
    def begin(self) -> int:
        """The first index of this process."""
        return self.offsets[self.rank]

    @property
    def count(self) -> int:
        """How many indices this process owns."""
        return self.offsets[self.rank + 1] - self.begin

    @property
    def total(self) -> int:
        """How many indices there are."""
        return self.offsets[-1]

    def scaled(self, block: int) -> Partition:
        """The partition of the entries where every index stands for `block` of them."""
        return Partition(tuple(block * offset for offset in self.offsets), self.group)

    def scatter(self, x: Tensor) -> Tensor:
        """This process's part ``(*batch, count)`` of a vector ``(*batch, total)`` that every process holds."""
        if x.ndim == 0 or x.shape[-1] != self.total:
            raise ShapeError(f"vector of shape {tuple(x.shape)}: expected (*batch, {self.total}), the whole of it")
        return x.narrow(-1, self.begin, self.count)

    def gather(self, x: Tensor) -> Tensor:
        """The whole vector ``(*batch, total)``, on every process, from the parts ``(*batch, count)``; differentiable.

        A loss of gathered vectors is there once a process, and its gradient is that of the sum of them all: divide it
        by the number of processes.
        """
        if x.ndim == 0 or x.shape[-1] != self.count:
            raise ShapeError(f"part of shape {tuple(x.shape)}: process {self.rank} owns (*batch, {self.count})")
        if is_differentiated(x):
            whole: Tensor = _Gather.apply(x, self)
            return whole
        return _gathered(x, self)

    def _mistake(self) -> ShapeError | None:
        if len(self.offsets) != self.size + 1:
            return ShapeError(
                f"{len(self.offsets)} offsets for {self.size} processes: expected {self.size + 1}, the first 0, the "
                "last the number of indices"
            )
        if self.offsets[0] != 0 or any(later < earlier for earlier, later in pairwise(self.offsets)):
            return ShapeError(f"offsets {self.offsets}: they must start at 0 and never fall")
        return None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, partition: Partition) -> Tensor:
        ctx.partition = partition
        return _gathered(x, partition)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        partition: Partition = ctx.partition
        return partition.scatter(all_sum(gradients[0], partition.group)), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        partition: Partition = ctx.partition
        return partition.gather(tangents[0])


def _gathered(x: Tensor, partition: Partition) -> Tensor:
    """Parts are padded to the longest, because all_gather wants equal shapes."""
    counts = [end - begin for begin, end in pairwise(partition.offsets)]
    padded = x.new_zeros(*x.shape[:-1], max(counts))
    padded[..., : partition.count] = x.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=partition.group)
    return torch.cat([part[..., :count] for part, count in zip(parts, counts, strict=True)], -1)
