"""Multigrid-CG on a grid operator as one compiled call per sample, instead of one pass over the batch per operation."""

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.kernels import kernels_for
from solvers.multigrid import MultigridHierarchy
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["Descent", "fused_descent"]

#: A compiled inner loop: (x, r, goal, steps allowed) ↦ (new x, status or −1 for none, steps taken).
Descent = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def fused_descent(A: LinearOperator, precondition: Inverse | None, batch: torch.Size) -> Descent | None:
    """The compiled inner loop of CG for this operator and preconditioner, or None if there is no such loop.

    It takes the steps of `CG`, and exists for speed: all vectors of one sample stay in the cache of one core, and no
    thread waits for another between two operations.
    """
    if not isinstance(A, DiffusionOperator) or not isinstance(precondition, MultigridHierarchy):
        return None
    kernels = kernels_for(A.faces[0])
    links, levels, grid = A.links, precondition.data, A.grid
    own = precondition.operator.batch_shape
    repeats = own == A.batch_shape and links.matching(own, batch) is links
    if not hasattr(kernels, "conjugate_gradients") or not repeats or bool(A.is_singular.any()):
        return None

    def descend(x: Tensor, r: Tensor, goal: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fields = (v.reshape(-1, *grid) for v in (x, r))
        x_new, status, steps = kernels.conjugate_gradients(links, levels, *fields, goal.reshape(-1), limit.reshape(-1))
        return x_new.reshape(x.shape), status.reshape(goal.shape), steps.reshape(goal.shape)

    return descend
