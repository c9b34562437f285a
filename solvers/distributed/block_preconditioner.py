"""Additive Schwarz without overlap: every process preconditions with its own diagonal block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.distributed.operator import DistributedOperator
from solvers.distributed.reductions import agree, everywhere
from solvers.errors import TagError
from solvers.inverse import Inverse, Preconditioner
from solvers.operators.linear_operator import LinearOperator

__all__ = ["BlockInverse", "BlockPreconditioner"]


@dataclass(frozen=True)
class BlockPreconditioner:
    """M = diag(M₁, …, M_P), where M_r is what `recipe` makes of the block A_rr of process r (Saad 2003, section 14.3).

    It needs no communication, and is symmetric positive definite if the local ones are. Iterations grow with the
    number of processes, because nothing is carried across the cuts in one application.

    Parameters
    ----------
    recipe
        Any preconditioner or direct solver for `CSROperator`, such as ``SSOR()`` or ``SuperLU()``.

    Examples
    --------
    >>> import torch, torch.distributed as dist
    >>> from solvers import CG, CSROperator, DistributedCSR, Jacobi, linear_solve
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> A = DistributedCSR.from_global(CSROperator.from_dense(torch.diag(torch.tensor([1.0, 2.0, 4.0])), tags={"spd"}))
    >>> linear_solve(A, torch.ones(3), CG(), BlockPreconditioner(Jacobi())).stats.iterations
    tensor(1, dtype=torch.int32)
    >>> dist.destroy_process_group()
    """

    recipe: Preconditioner

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> BlockInverse:
        """Set up the local recipes; if one fails, all processes raise.

        Raises
        ------
        TagError
            A is not distributed.
        """
        if not isinstance(A, DistributedOperator):
            raise TagError(f"{A!r} is not distributed: use {self.recipe!r} itself")
        error: Exception | None = None
        inverse: Inverse | None = None
        try:
            # A process without rows has nothing to set up.
            inverse = self.recipe.setup(A.local_block()) if A.shape[0] else None
        except Exception as failure:  # whatever it was: the others must not wait for this process
            error = failure
        agree(error, A.partition.group)
        properties = [inverse is None or inverse.is_linear, inverse is None or inverse.is_spd]
        is_linear, is_spd = everywhere(torch.tensor(properties, device=A.device), A.partition.group).tolist()
        return BlockInverse(inverse, is_linear, is_spd)


class BlockInverse(Inverse):
    """z = M r on local parts; `inverse` is None where a process owns nothing."""

    def __init__(self, inverse: Inverse | None, is_linear: bool, is_spd: bool) -> None:
        self.inverse, self.is_linear, self.is_spd = inverse, is_linear, is_spd

    def __call__(self, r: Tensor) -> Tensor:
        z = r if self.inverse is None else self.inverse(r)
        # Never r itself: a solver may see that and leave out a sum in which the other processes take part.
        return z.clone() if z is r else z

    @property
    def H(self) -> Inverse:
        return BlockInverse(None if self.inverse is None else self.inverse.H, self.is_linear, self.is_spd)
