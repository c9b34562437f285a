"""Preconditioners, one recipe a file."""

from solvers.preconditioners.block_jacobi import BlockJacobi
from solvers.preconditioners.chebyshev import Chebyshev
from solvers.preconditioners.deflation import BlockDeflation, Deflation
from solvers.preconditioners.incomplete import IncompleteCholesky, IncompleteLU
from solvers.preconditioners.jacobi import Jacobi
from solvers.preconditioners.learned import LearnedPreconditioner
from solvers.preconditioners.modified_incomplete import ModifiedIncompleteCholesky
from solvers.preconditioners.ssor import SSOR

__all__ = [
    "SSOR",
    "BlockDeflation",
    "BlockJacobi",
    "Chebyshev",
    "Deflation",
    "IncompleteCholesky",
    "IncompleteLU",
    "Jacobi",
    "LearnedPreconditioner",
    "ModifiedIncompleteCholesky",
]
