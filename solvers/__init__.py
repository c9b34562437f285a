"""Batched, differentiable sparse linear algebra.

What an operator is (`solvers.operators`), how a system is solved (`CG`, `GeometricMultigrid`) and what came out
(`Solution`) are three things; `linear_solve` brings them together and differentiates through them.
"""

from solvers.errors import (
    Breakdown,
    DeviceError,
    DTypeError,
    Indefinite,
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
from solvers.krylov import CG
from solvers.linear_solve import linear_solve
from solvers.multigrid import DampedJacobi, GeometricMultigrid, MultigridHierarchy, RedBlackGaussSeidel
from solvers.operators import (
    CSROperator,
    DiffusionOperator,
    LinearOperator,
    StencilOperator,
    finite_volume_operator,
    poisson_operator,
)
from solvers.solution import Solution, Stats
from solvers.solver import Solver
from solvers.status import Status
from solvers.verification import verify_tags

__all__ = [
    "CG",
    "Breakdown",
    "CSROperator",
    "DTypeError",
    "DampedJacobi",
    "DeviceError",
    "DiffusionOperator",
    "GeometricMultigrid",
    "Indefinite",
    "Inverse",
    "LinearOperator",
    "MultigridHierarchy",
    "NonFinite",
    "NotConverged",
    "PatternError",
    "Preconditioner",
    "RedBlackGaussSeidel",
    "ScimlError",
    "ShapeError",
    "Singular",
    "Solution",
    "SolveError",
    "Solver",
    "Stats",
    "Status",
    "StencilOperator",
    "TagError",
    "finite_volume_operator",
    "linear_solve",
    "poisson_operator",
    "use_backend",
    "verify_tags",
]
