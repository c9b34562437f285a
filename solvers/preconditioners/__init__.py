"""Preconditioners, one recipe a file."""

from solvers.preconditioners.block_jacobi import BlockJacobi
from solvers.preconditioners.chebyshev import Chebyshev
from solvers.preconditioners.incomplete import IncompleteCholesky, IncompleteLU
from solvers.preconditioners.jacobi import Jacobi
from solvers.preconditioners.learned import LearnedPreconditioner
from solvers.preconditioners.ssor import SSOR

__all__ = ["SSOR", "BlockJacobi", "Chebyshev", "IncompleteCholesky", "IncompleteLU", "Jacobi", "LearnedPreconditioner"]
