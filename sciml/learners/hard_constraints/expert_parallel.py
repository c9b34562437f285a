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
from sciml.learners.hard_constraints.mixture import Coupled, Independent
from sciml.learners.hard_constraints.routers import BoxRouter, Router, windows
from sciml.learners.hard_constraints.unknowns import ALL, SharedUnknowns, Unknowns, shares
from solvers.distributed.reductions import require_processes
from solvers.status import Status

__all__ = ["ExpertParallel", "gathered"]


@dataclass(frozen=True)
class ExpertParallel:
    """`MixtureOfExperts`, of whose experts each process has its share, which may be uneven.

    Every process has the whole basis, and the same loss of the whole field. What is differentiated is the sum of all
    processes' losses; the mean over processes that DistributedDataParallel takes of the network's gradients is then the
    gradient of one process that has all experts.

    Independent experts are solved by their process, and only weights travel. Of coupled experts a process carries
    the functions of its own, sums the fields of all, and multiplies the columns of all in its part of the rows: the
    iterates are those of one process, the same everywhere, to the rounding of the sums.

    Parameters
    ----------
    layer, router, coupling
        As in `MixtureOfExperts`. In the error norm independent experts make the Gauss–Newton steps before the last
        solve everywhere, because carrying knows no boxes.
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
    coupling: Independent | Coupled = field(default_factory=Independent)
    group: dist.ProcessGroup | None = None

    def __call__(
        self,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None = None,
        generator: Generator | None = None,
    ) -> ConstrainedField:
        """The constrained field, the same on every process; the objective of independent experts is that of its own.

        All processes give the same residual, basis, offset and a generator in the same state.
        """
        require_processes()
        size, experts = dist.get_world_size(self.group), len(self.router.extents(tuple(residual.shape)))
        if size > experts:
            raise LearnerError(
                f"experts: {experts} experts for {size} processes, expected at least one each; start fewer processes "
                "or use more experts"
            )
        if isinstance(self.coupling, Coupled):
            return self.coupling.dealt(self.layer, self.router, residual, basis, offset, start, generator, self._deal)
        return self._independent(self.coupling, residual, basis, offset, start, generator)

    def _deal(self, count: int, each: int) -> tuple[slice, Unknowns]:
        size, rank = dist.get_world_size(self.group), dist.get_rank(self.group)
        if size > count:
            return slice(None), ALL
        bounds = shares(count, size)
        return slice(bounds[rank], bounds[rank + 1]), SharedUnknowns(tuple(each * b for b in bounds), self.group)

    def _independent(
        self,
        coupling: Independent,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None,
        generator: Generator | None,
    ) -> ConstrainedField:
        expansion, boxes = coupling.posed(self.layer, self.router, residual, basis, offset)
        rank, bounds = dist.get_rank(self.group), shares(boxes.count, dist.get_world_size(self.group))
        systems = self.layer.solve(expansion, boxes, start, generator, slice(bounds[rank], bounds[rank + 1]))
        weights = gathered(systems.weights.movedim(1, 0), bounds, self.group).movedim(0, 1)
        blended = windows(self.router, boxes.shape, coupling.overlap).to(basis.device)
        values = self.layer.assembled(expansion, weights, blended).to(basis.dtype)
        result = systems.field(values, weights)
        # Everyone knows all statuses: where one process raises, all do, and nobody waits.
        own = (result.status, result.iterations, result.residual_norm, result.condition)
        status, iterations, residual_norm, condition = self._of_all(own, bounds)
        broken = boxes.first_of(expansion.broken) if bool((status == Status.NONFINITE_INPUT).any()) else None
        return self.layer.checked(
            replace(
                result,
                status=status,
                iterations=iterations,
                residual_norm=residual_norm,
                condition=condition,
                broken=broken,
            )
        )

    @torch.no_grad()
    def _of_all(self, own: tuple[Tensor, ...], bounds: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Numbers ``(B, K)`` of all systems, in one message."""
        together = torch.stack([numbers.mT.to(torch.float64) for numbers in own], 1)
        everyone = gathered(together, bounds, self.group).unbind(1)
        return tuple(whole.mT.to(numbers.dtype) for whole, numbers in zip(everyone, own, strict=True))


def gathered(own: Tensor, bounds: tuple[int, ...], group: dist.ProcessGroup | None) -> Tensor:
    """The items ``(K, …)`` of all processes; this one has ``own``, from ``bounds[rank]`` on; differentiable.

    Backward adds up what all processes ask of an item and brings it to its owner.
    """
    result: Tensor = _Gather.apply(own, bounds, group)
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, bounds: tuple[int, ...], group: dist.ProcessGroup | None) -> Tensor:
        ctx.bounds, ctx.group = bounds, group
        sizes = [b - a for a, b in pairwise(bounds)]
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
        return total[ctx.bounds[rank] : ctx.bounds[rank + 1]], None, None
