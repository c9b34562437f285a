"""PDE problems: random inputs, reference solutions, residuals, data sets and metrics."""

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem, RecordedProblem
from pde_benchmarks.random_fields import GaussianField

__all__ = [
    "Batch",
    "Darcy",
    "EllipticProblem",
    "FieldSpec",
    "GaussianField",
    "Grid",
    "Problem",
    "RecordedProblem",
]
