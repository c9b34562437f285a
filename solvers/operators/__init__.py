"""Linear operators, one a file, and builders for the usual ones."""

from solvers.operators.block_diagonal import BlockDiagonalOperator
from solvers.operators.builders import finite_volume_operator, poisson_operator
from solvers.operators.composed import AdjointOperator
from solvers.operators.csr import CSROperator, CSRPattern
from solvers.operators.csr_algebra import block_diag
from solvers.operators.dense import DenseOperator
from solvers.operators.diagonal import DiagonalOperator
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.function import FunctionOperator
from solvers.operators.identity import IdentityOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product import ProductOperator
from solvers.operators.scaled import ScaledOperator
from solvers.operators.stencil import StencilOperator
from solvers.operators.sum import SumOperator

__all__ = [
    "AdjointOperator",
    "BlockDiagonalOperator",
    "CSROperator",
    "CSRPattern",
    "DenseOperator",
    "DiagonalOperator",
    "DiffusionOperator",
    "FunctionOperator",
    "IdentityOperator",
    "LinearOperator",
    "ProductOperator",
    "ScaledOperator",
    "StencilOperator",
    "SumOperator",
    "block_diag",
    "finite_volume_operator",
    "poisson_operator",
]
