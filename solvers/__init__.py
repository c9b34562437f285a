"""Batched, differentiable sparse linear algebra.

What an operator is (`solvers.operators`), how a system is solved (`CG`, `GeometricMultigrid`) and what came out
(`Solution`) are three things; `linear_solve` brings them together and differentiates through them.
"""

from solvers.auto import Auto
from solvers.direct import CuDSS, DenseCholesky, DenseLU, SuperLU
from solvers.distributed import BlockPreconditioner, DistributedCSR, DistributedStencil, Partition
from solvers.eigen import EigenSolution, lobpcg
from solvers.errors import (
    Breakdown,
    DeviceError,
    DistributedError,
    DTypeError,
    FileError,
    Indefinite,
    MissingPackageError,
    NonFinite,
    NotConverged,
    PatternError,
    ScimlError,
    ShapeError,
    Singular,
    SolveError,
    TagError,
)
from solvers.fast_poisson import FastPoisson
from solvers.files import read_system, read_vector, write_system, write_vector
from solvers.inverse import Inverse, Preconditioner
from solvers.kernels import use_backend
from solvers.krylov import (
    CG,
    FGMRES,
    GMRES,
    MINRES,
    BiCGStab,
    Fallback,
    FlexibleCG,
    NormalCG,
    Richardson,
    SingleReductionCG,
)
from solvers.linear_solve import linear_solve
from solvers.multigrid import (
    AlgebraicHierarchy,
    DampedJacobi,
    GalerkinMap,
    GeometricMultigrid,
    MultigridHierarchy,
    RedBlackGaussSeidel,
    RugeStuben,
    SmoothedAggregation,
)
from solvers.operators import (
    BlockDiagonalOperator,
    CSROperator,
    DenseOperator,
    DiagonalOperator,
    DiffusionOperator,
    FunctionOperator,
    IdentityOperator,
    LinearOperator,
    ProductOperator,
    ScaledOperator,
    StencilOperator,
    SumOperator,
    block_diag,
    finite_volume_operator,
    poisson_operator,
)
from solvers.preconditioners import (
    SSOR,
    BlockJacobi,
    Chebyshev,
    IncompleteCholesky,
    IncompleteLU,
    Jacobi,
    LearnedPreconditioner,
)
from solvers.refinement import IterativeRefinement
from solvers.solution import Solution, Stats
from solvers.solver import Solver
from solvers.status import Status
from solvers.verification import verify_tags

__all__ = [
    "CG",
    "FGMRES",
    "GMRES",
    "MINRES",
    "SSOR",
    "AlgebraicHierarchy",
    "Auto",
    "BiCGStab",
    "BlockDiagonalOperator",
    "BlockJacobi",
    "BlockPreconditioner",
    "Breakdown",
    "CSROperator",
    "Chebyshev",
    "CuDSS",
    "DTypeError",
    "DampedJacobi",
    "DenseCholesky",
    "DenseLU",
    "DenseOperator",
    "DeviceError",
    "DiagonalOperator",
    "DiffusionOperator",
    "DistributedCSR",
    "DistributedError",
    "DistributedStencil",
    "EigenSolution",
    "Fallback",
    "FastPoisson",
    "FileError",
    "FlexibleCG",
    "FunctionOperator",
    "GalerkinMap",
    "GeometricMultigrid",
    "IdentityOperator",
    "IncompleteCholesky",
    "IncompleteLU",
    "Indefinite",
    "Inverse",
    "IterativeRefinement",
    "Jacobi",
    "LearnedPreconditioner",
    "LinearOperator",
    "MissingPackageError",
    "MultigridHierarchy",
    "NonFinite",
    "NormalCG",
    "NotConverged",
    "Partition",
    "PatternError",
    "Preconditioner",
    "ProductOperator",
    "RedBlackGaussSeidel",
    "Richardson",
    "RugeStuben",
    "ScaledOperator",
    "ScimlError",
    "ShapeError",
    "SingleReductionCG",
    "Singular",
    "SmoothedAggregation",
    "Solution",
    "SolveError",
    "Solver",
    "Stats",
    "Status",
    "StencilOperator",
    "SumOperator",
    "SuperLU",
    "TagError",
    "block_diag",
    "finite_volume_operator",
    "linear_solve",
    "lobpcg",
    "poisson_operator",
    "read_system",
    "read_vector",
    "use_backend",
    "verify_tags",
    "write_system",
    "write_vector",
]
