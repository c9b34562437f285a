"""Experts spread over the processes of torch.distributed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.errors import LearnerError
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.mixture import Independent
from sciml.learners.hard_constraints.routers import BoxRouter, Router, windows
from solvers.distributed.reductions import require_processes

__all__ = ["ExpertParallel", "gathered"]


@dataclass(frozen=True)
class ExpertParallel:
    """`MixtureOfExperts` with independent experts, of which each process solves its share.

    Only weights travel: every process has the whole basis and assembles the whole field. What is differentiated is the
    sum of all processes' losses; the mean over processes that DistributedDataParallel takes of the network's gradients
    is then the gradient of one process that has all experts. Shares may be uneven.

    Parameters
    ----------
    layer, router, coupling
        As in `MixtureOfExperts`. In the error norm the Gauss–Newton steps before the last solve are made everywhere,
        because carrying knows no boxes.
    group
        The process group; None: all processes.

    Raises
    ------
    DistributedError
        torch.distributed is not initialised.
    LearnerError
        There are more processes than experts.
    """

    layer: ConstraintLayer = field(default_factory=ConstraintLayer)
    router: Router = field(default_factory=lambda: BoxRouter((1, 4)))
    coupling: Independent = field(default_factory=Independent)
    group: dist.ProcessGroup | None = None

    def __call__(
        self,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None = None,
        generator: Generator | None = None,
    ) -> ConstrainedField:
        """The constrained field, the same on every process; its objective is that of the process's own experts.

        All processes give the same residual, basis, offset and a generator in the same state.
        """
        require_processes()
        expansion, boxes = self.coupling.posed(self.layer, self.router, residual, basis, offset)
        size, rank = dist.get_world_size(self.group), dist.get_rank(self.group)
        if size > boxes.count:
            raise LearnerError(
                f"experts: {boxes.count} experts for {size} processes, expected at least one each; start fewer "
                "processes or use more experts"
            )
        shares = [boxes.count * r // size for r in range(size + 1)]
        systems = self.layer.solve(expansion, boxes, start, generator, slice(shares[rank], shares[rank + 1]))
        weights = gathered(systems.weights.movedim(1, 0), shares, self.group).movedim(0, 1)
        blended = windows(self.router, boxes.shape, self.coupling.overlap).to(basis.device)
        values = self.layer.assembled(expansion, weights, blended).to(basis.dtype)
        result = systems.field(values, weights)
        with torch.no_grad():
            status, iterations, residual_norm, condition = (
                gathered(t.mT, shares, self.group).mT
                for t in (result.status, result.iterations, result.residual_norm, result.condition)
            )
        # Everyone knows all statuses: where one process raises, all do, and nobody waits.
        return self.layer.checked(
            replace(result, status=status, iterations=iterations, residual_norm=residual_norm, condition=condition)
        )


def gathered(own: Tensor, shares: list[int], group: dist.ProcessGroup | None) -> Tensor:
    """The items ``(K, …)`` of all processes; this one has ``own``, from ``shares[rank]`` on; differentiable.

    Backward adds up what all processes ask of an item and brings it to its owner.
    """
    result: Tensor = _Gather.apply(own, shares, group)
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, shares: list[int], group: dist.ProcessGroup | None) -> Tensor:
        ctx.shares, ctx.group = shares, group
        sizes = [b - a for a, b in pairwise(shares)]
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own.detach()
        pieces = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(pieces, padded, group=group)
        return torch.cat([piece[:count] for piece, count in zip(pieces, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        rank = dist.get_rank(ctx.group)
        return total[ctx.shares[rank] : ctx.shares[rank + 1]], None, None
