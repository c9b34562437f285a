"""What all processes of a group find out together: sums, maxima, and whether one of them has failed."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from solvers.errors import DistributedError
from solvers.operators.product_rule import is_differentiated

__all__ = ["agree", "all_sum", "everywhere", "largest", "meeting_device", "require_processes"]


def require_processes() -> None:
    """Raise `DistributedError` unless torch.distributed is initialised."""
    if not (dist.is_available() and dist.is_initialized()):
        raise DistributedError(
            "torch.distributed is not initialised: start the script with torchrun --nproc-per-node 2 and call "
            "torch.distributed.init_process_group('gloo') before building distributed operators"
        )


def all_sum(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Σ over the processes of x, on every process; differentiable.

    What is differentiated is the sum of all processes' losses, so that the derivative is again this sum.
    """
    if is_differentiated(x):
        total: Tensor = _AllSum.apply(x, group)
        return total
    return _summed(x, group)


def largest(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The largest over the processes, entry by entry; infinity wins."""
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x, op=dist.ReduceOp.MAX, group=group)
    return x


def everywhere(flags: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Where the flag is set on all processes."""
    return largest((~flags).to(torch.int32), group) == 0


def agree(error: Exception | None, group: dist.ProcessGroup | None) -> None:
    """Raise on every process if one of them has an error: else the others would wait for it for ever."""
    rank = dist.get_rank(group)
    failed = torch.tensor([-1 if error is None else rank], device=meeting_device(group))
    worst = int(largest(failed, group))
    if error is not None:
        raise error
    if worst >= 0:
        raise DistributedError(f"process {worst} could not go on: read its message (process {rank} is in order)")


def meeting_device(group: dist.ProcessGroup | None) -> torch.device:
    """Where small tensors must lie that the processes of the group exchange."""
    if "nccl" in dist.get_backend(group) and "gloo" not in dist.get_backend(group):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


class _AllSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        return _summed(x, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return all_sum(gradients[0], ctx.group), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return all_sum(tangents[0], ctx.group)


def _summed(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total
