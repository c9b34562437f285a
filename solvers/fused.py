"""CG as one compiled call per sample, instead of one pass over the batch per operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.kernels import Taps, kernels_for, repeating
from solvers.multigrid import AggregationHierarchy, MultigridHierarchy
from solvers.operators.csr import CSROperator
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.stencil import StencilOperator
from solvers.preconditioners.jacobi import JacobiInverse

__all__ = ["Descent", "fused_descent"]

#: A compiled inner loop: (x, r, goal, steps allowed) ↦ (new x, status or −1 for none, steps taken).
Descent = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]

#: Entries of a matrix that one core reads from its cache.
_CACHED = 2**17


def fused_descent(A: LinearOperator, precondition: Inverse | None, batch: torch.Size) -> Descent | None:
    """The compiled inner loop of CG for this operator and preconditioner, or None if there is no such loop.

    It takes the steps of `CG`, and exists for speed: all vectors of one sample stay in the cache of one core, and no
    thread waits for another between two operations. Nothing is projected on the way: what of x comes to lie in the
    kernel of a singular A is felt by no product, and `linear_solve` takes it out at the end.
    """
    if not isinstance(A, CSROperator | DiffusionOperator | StencilOperator):
        return None
    kernels: Any = kernels_for(A.parameters()[0])
    if not kernels.has_conjugate_gradients:
        return None
    if isinstance(A, DiffusionOperator) and isinstance(precondition, MultigridHierarchy | AggregationHierarchy):
        return _multigrid_descent(kernels, A, precondition, batch)
    if precondition is not None and not isinstance(precondition, JacobiInverse):
        return None
    if precondition is not None and precondition.inverse.dtype != A.dtype:
        return None
    if type(A) is CSROperator:
        return _csr_descent(kernels, A, precondition, batch)
    if type(A) is DiffusionOperator:
        data = repeating(A.links.data.unflatten(0, A.batch_shape or (1,)), max(len(A.batch_shape), 1), batch)
        return _stencil_descent(kernels, A, Taps.of_links(len(A.grid)), data, precondition, batch)
    if type(A) is StencilOperator:
        data = repeating(A.coefficients, len(A.batch_shape), batch)
        return _stencil_descent(kernels, A, Taps.forward(A.offsets, A.periodic), data, precondition, batch)
    return None


def _multigrid_descent(
    kernels: Any, A: DiffusionOperator, precondition: MultigridHierarchy | AggregationHierarchy, batch: torch.Size
) -> Descent | None:
    links, levels, grid = A.links, precondition.data, A.grid
    over_blocks = isinstance(precondition, AggregationHierarchy)
    run = kernels.aggregation_conjugate_gradients if over_blocks else kernels.conjugate_gradients
    own = precondition.operator.batch_shape
    repeats = own == A.batch_shape and links.matching(own, batch) is links
    if not repeats:
        return None

    def descend(x: Tensor, r: Tensor, goal: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fields = (v.reshape(-1, *grid) for v in (x, r))
        x_new, status, steps = run(links, levels, *fields, goal.reshape(-1), limit.reshape(-1))
        return x_new.reshape(x.shape), status.reshape(goal.shape), steps.reshape(goal.shape)

    return descend


def _csr_descent(kernels: Any, A: CSROperator, precondition: JacobiInverse | None, batch: torch.Size) -> Descent | None:
    if _is_for_torch(A.values.shape[-1], batch):
        return None
    scaling = A.values.new_ones(1, A.shape[1]) if precondition is None else precondition.inverse
    values, scaling = repeating(A.values, A.values.ndim - 1, batch), repeating(scaling, scaling.ndim - 1, batch)

    def descend(x: Tensor, r: Tensor, goal: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors = (v.reshape(-1, v.shape[-1]) for v in (x, r))
        pattern, scalars = A.pattern, (goal.reshape(-1), limit.reshape(-1))
        x_new, status, steps = kernels.csr_conjugate_gradients(
            pattern.crow, pattern.col, values, scaling, *vectors, *scalars
        )
        return x_new.reshape(x.shape), status.reshape(goal.shape), steps.reshape(goal.shape)

    return descend


def _stencil_descent(
    kernels: Any,
    A: StencilOperator | DiffusionOperator,
    taps: Taps,
    data: Tensor,
    precondition: JacobiInverse | None,
    batch: torch.Size,
) -> Descent | None:
    if _is_for_torch(data[0].numel(), batch):
        return None
    scaling = data.new_ones(1, 1) if precondition is None else precondition.inverse
    scaling = repeating(scaling, scaling.ndim - 1, batch)

    def descend(x: Tensor, r: Tensor, goal: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vectors, scalars = (v.reshape(-1, *A.grid) for v in (x, r)), (goal.reshape(-1), limit.reshape(-1))
        x_new, status, steps = kernels.stencil_conjugate_gradients(taps, data, scaling, *vectors, *scalars)
        return x_new.reshape(x.shape), status.reshape(goal.shape), steps.reshape(goal.shape)

    return descend


def _is_for_torch(entries: int, batch: torch.Size) -> bool:
    """Few large systems are for torch, which gives all threads to each."""
    return entries > _CACHED and batch.numel() < torch.get_num_threads()
