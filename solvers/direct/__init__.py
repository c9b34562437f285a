"""Direct solvers: each is a solver and, as an exact inverse, a preconditioner."""

from solvers.direct.cu_dss import CuDSS
from solvers.direct.dense import DenseCholesky, DenseLU
from solvers.direct.direct_solver import DirectSolver, Factor
from solvers.direct.super_lu import SuperLU

__all__ = ["CuDSS", "DenseCholesky", "DenseLU", "DirectSolver", "Factor", "SuperLU"]
