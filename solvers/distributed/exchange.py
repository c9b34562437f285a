"""Bring in the entries of a vector that other processes own, and carry their duals back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.distributed.partition import Partition
from solvers.distributed.reductions import meeting_device
from solvers.operators.product_rule import is_differentiated

__all__ = ["HaloExchange"]


@dataclass(frozen=True)
class _Neighbour:
    """A process with which there is something to exchange: its address, and its pieces of the two buffers."""

    address: int
    sent: slice
    received: slice


class HaloExchange:
    """The linear map from the owned items of a distributed vector to the halo: the items wanted from others.

    All processes build it together. An item is `block` consecutive entries (a plane of a grid, one entry of a sparse
    vector). Messages are posted by `start` and awaited by the function it returns, so that work goes on in between.

    Parameters
    ----------
    wanted
        Items ``(h,)`` wanted from others, int64, rising.
    partition
        Of the items.
    block
        Entries of an item.
    """

    def __init__(self, wanted: Tensor, partition: Partition, block: int = 1) -> None:
        self.partition, self.block, self.count = partition, block, wanted.numel()
        group, rank = partition.group, partition.rank
        meeting = meeting_device(group)
        ends = torch.tensor(partition.offsets[1:], device=wanted.device)
        owners = torch.searchsorted(ends, wanted, right=True)
        mine = torch.bincount(owners, minlength=partition.size).to(meeting)
        table = [torch.empty_like(mine) for _ in range(partition.size)]
        dist.all_gather(table, mine, group=group)
        receive, send = mine.tolist(), [int(row[rank]) for row in table]
        self._neighbours = _neighbours(send, receive, group)
        asked = torch.empty(sum(send), dtype=torch.int64, device=meeting)
        # The indices travel against the direction of the values: what I want is what the owner will send.
        self._await(self._post(wanted.to(meeting), asked, reverse=True))
        self._asked = (asked - partition.begin).to(wanted.device)

    def halo(self, x: Tensor) -> Tensor:
        """The halo ``(*batch, h · block)`` of the owned part ``(*batch, count · block)``; differentiable."""
        return _moved(self, x, reverse=False)

    def adjoint(self, z: Tensor) -> Tensor:
        """Entries ``(*batch, h · block)`` brought back to their owners and added up there; differentiable."""
        return _moved(self, z, reverse=True)

    def start(self, x: Tensor) -> Callable[[], Tensor]:
        """Post the messages of `halo`; the function returned waits for them and gives the halo."""
        items = x.reshape(x.shape[:-1].numel(), self.partition.count, self.block)
        # Items first: then the piece of a neighbour is one run of memory.
        outgoing = items.index_select(1, self._asked).movedim(1, 0).contiguous()
        incoming = outgoing.new_empty(self.count, *outgoing.shape[1:])
        works = self._post(outgoing, incoming, reverse=False)

        def finish() -> Tensor:
            self._await(works)
            return incoming.movedim(0, 1).reshape(*x.shape[:-1], self.count * self.block)

        return finish

    def start_adjoint(self, z: Tensor) -> Callable[[Tensor], Tensor]:
        """Post the messages of `adjoint`; the function returned waits for them and adds them to its argument."""
        outgoing = z.reshape(z.shape[:-1].numel(), self.count, self.block).movedim(1, 0).contiguous()
        incoming = outgoing.new_empty(self._asked.numel(), *outgoing.shape[1:])
        works = self._post(outgoing, incoming, reverse=True)

        def finish(y: Tensor) -> Tensor:
            self._await(works)
            items = y.reshape(y.shape[:-1].numel(), self.partition.count, self.block)
            # One neighbour at a time: it asked for every item once, so that the sum has one order on every device.
            for neighbour in self._neighbours:
                items.index_add_(1, self._asked[neighbour.sent], incoming[neighbour.sent].movedim(0, 1))
            return items.reshape(y.shape)

        return finish

    def _post(self, outgoing: Tensor, incoming: Tensor, reverse: bool) -> list[dist.Work]:
        outgoing, incoming = (torch.view_as_real(t) if t.is_complex() else t for t in (outgoing, incoming))
        group, messages = self.partition.group, []
        for neighbour in self._neighbours:
            pieces = neighbour.sent, neighbour.received
            to, from_ = (outgoing[pieces[reverse]], incoming[pieces[not reverse]])
            if to.numel():
                messages.append(dist.P2POp(dist.isend, to, neighbour.address, group))
            if from_.numel():
                messages.append(dist.P2POp(dist.irecv, from_, neighbour.address, group))
        return dist.batch_isend_irecv(messages) if messages else []

    def _await(self, works: Sequence[dist.Work]) -> None:
        for work in works:
            work.wait()


class _Exchange(torch.autograd.Function):
    """The exchange and its adjoint, each the derivative of the other."""

    @staticmethod
    def forward(ctx: Any, exchange: HaloExchange, reverse: bool, x: Tensor) -> Tensor:
        ctx.exchange, ctx.reverse = exchange, reverse
        return _plain(exchange, x, reverse)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, _moved(ctx.exchange, gradients[0], not ctx.reverse)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _moved(ctx.exchange, tangents[2], ctx.reverse)


def _moved(exchange: HaloExchange, x: Tensor, reverse: bool) -> Tensor:
    if is_differentiated(x):
        result: Tensor = _Exchange.apply(exchange, reverse, x)
        return result
    return _plain(exchange, x, reverse)


def _plain(exchange: HaloExchange, x: Tensor, reverse: bool) -> Tensor:
    x = x.detach()
    if not reverse:
        return exchange.start(x)()
    nothing = x.new_zeros(*x.shape[:-1], exchange.partition.count * exchange.block)
    return exchange.start_adjoint(x)(nothing)


def _neighbours(send: list[int], receive: list[int], group: dist.ProcessGroup | None) -> list[_Neighbour]:
    neighbours, sent, received = [], 0, 0
    for peer, (outgoing, incoming) in enumerate(zip(send, receive, strict=True)):
        if outgoing or incoming:
            address = peer if group is None else dist.get_global_rank(group, peer)
            pieces = slice(sent, sent + outgoing), slice(received, received + incoming)
            neighbours.append(_Neighbour(address, *pieces))
        sent, received = sent + outgoing, received + incoming
    return neighbours
