"""Batched, differentiable sparse linear algebra.

What an operator is (`solvers.operators`), how a system is solved (`CG`, `GeometricMultigrid`) and what came out
(`Solution`) are three things; `linear_solve` brings them together and differentiates through them.
"""

from solvers.direct import CuDSS, DenseCholesky, DenseLU, SuperLU
from solvers.distributed import BlockPreconditioner, DistributedCSR, DistributedStencil, Partition
from solvers.errors import (
    Breakdown,
    DeviceError,
    DistributedError,
    DTypeError,
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
from solvers.inverse import Inverse, Preconditioner
from solvers.kernels import use_backend
from solvers.krylov import CG, FGMRES, GMRES, MINRES, BiCGStab, Fallback, FlexibleCG, Richardson, SingleReductionCG
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
    CSROperator,
    DiffusionOperator,
    LinearOperator,
    StencilOperator,
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
    "BiCGStab",
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
    "DeviceError",
    "DiffusionOperator",
    "DistributedCSR",
    "DistributedError",
    "DistributedStencil",
    "Fallback",
    "FlexibleCG",
    "GalerkinMap",
    "GeometricMultigrid",
    "IncompleteCholesky",
    "IncompleteLU",
    "Indefinite",
    "Inverse",
    "Jacobi",
    "LearnedPreconditioner",
    "LinearOperator",
    "MissingPackageError",
    "MultigridHierarchy",
    "NonFinite",
    "NotConverged",
    "Partition",
    "PatternError",
    "Preconditioner",
    "RedBlackGaussSeidel",
    "Richardson",
    "RugeStuben",
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
    "SuperLU",
    "TagError",
    "finite_volume_operator",
    "linear_solve",
    "poisson_operator",
    "use_backend",
    "verify_tags",
]
