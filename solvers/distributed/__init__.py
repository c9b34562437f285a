"""Operators whose rows are split over the processes of torch.distributed, for the same solvers."""

from solvers.distributed.block_preconditioner import BlockInverse, BlockPreconditioner
from solvers.distributed.csr import DistributedCSR, DistributedPattern
from solvers.distributed.operator import DistributedOperator
from solvers.distributed.partition import Partition
from solvers.distributed.stencil import DistributedStencil

__all__ = [
    "BlockInverse",
    "BlockPreconditioner",
    "DistributedCSR",
    "DistributedOperator",
    "DistributedPattern",
    "DistributedStencil",
    "Partition",
]
