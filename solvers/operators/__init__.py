"""Linear operators, one a file, and builders for the usual ones."""

from solvers.operators.builders import finite_volume_operator, poisson_operator
from solvers.operators.csr import CSROperator, CSRPattern
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import AdjointOperator, LinearOperator
from solvers.operators.stencil import StencilOperator

__all__ = [
    "AdjointOperator",
    "CSROperator",
    "CSRPattern",
    "DiffusionOperator",
    "LinearOperator",
    "StencilOperator",
    "finite_volume_operator",
    "poisson_operator",
]
