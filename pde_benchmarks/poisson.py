"""Poisson's equation in 1D to 3D, with another condition on every side if wanted."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import AxisBoundary
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Positive
from pde_benchmarks.random_fields import GaussianField
from solvers import DiffusionOperator, finite_volume_operator

__all__ = ["Poisson"]

MODES = {1: 128, 2: 128, 3: 32}  # 32³ random numbers a sample in 3D


@dataclass(frozen=True)
class Poisson(EllipticProblem):
    """−∇·(a ∇u) = f on the unit interval, square or cube with mixed boundary conditions; the map f ↦ u, or (f, a) ↦ u.

    f is a Gaussian field of covariance 9^(2−d/2) (−Δ + 9)⁻² and mean zero; a = 1, or log a is such a field times
    `heterogeneity`. Each side has u = 0, ∂u/∂n = 0, or is joined to the opposite one. Two-point finite volumes on
    cells, of order 2; symmetric positive definite, as one side at least holds u.

    Parameters
    ----------
    boundary
        For every axis ``dirichlet``, ``neumann`` or ``periodic``, or a pair for its low and its high side; as many axes
        as entries, 1 to 3.
    resolution
        Cells per axis, a multiple of 4 and at least 16.
    heterogeneity
        Factor of the field in log a; 0 is Poisson's equation, and f the only input.

    Raises
    ------
    ProblemError
        A parameter is out of range, or no side is ``dirichlet``: u would be determined up to a constant only.

    Examples
    --------
    >>> problem = Poisson(boundary=(("dirichlet", "neumann"), "periodic"), resolution=16)
    >>> f = problem.sample(2, torch.Generator().manual_seed(0))
    >>> u = problem.solve(f)
    >>> bool(problem.residual(f, u)["solution"].abs().max() < 1e-9)
    True
    """

    boundary: tuple[AxisBoundary, ...] = (("dirichlet", "neumann"), ("neumann", "dirichlet"))
    resolution: int = 64
    heterogeneity: float = 0.0
    name: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        if not 1 <= len(self.boundary) <= 3:
            raise ProblemError(f"poisson boundary {self.boundary}: conditions for 1 to 3 axes are expected.")
        sides = [side for axis in self.grid.sides for side in axis]
        if "unknown" in sides:
            raise ProblemError(f"poisson boundary {self.boundary}: use dirichlet, neumann or periodic for each side.")
        if "dirichlet" not in sides:
            raise ProblemError(
                f"poisson boundary {self.boundary}: without a dirichlet side u is determined up to a constant only: "
                "make one side dirichlet."
            )
        if self.resolution < 16 or self.resolution % 4:
            raise ProblemError(f"poisson resolution {self.resolution}: a multiple of 4, at least 16, is expected.")
        if not (self.heterogeneity >= 0 and math.isfinite(self.heterogeneity)):
            raise ProblemError(f"poisson heterogeneity {self.heterogeneity}: a number of at least 0 is expected.")

    @property
    def grid(self) -> Grid:
        """Cell centres."""
        return Grid((self.resolution,) * len(self.boundary), "cell", self.boundary)

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The source, and the coefficient if it varies."""
        # What the fields are beyond the sides is not known: the conditions are those of the solution.
        free = dataclasses.replace(self.grid, boundary=("unknown",) * self.grid.dim)
        source = FieldSpec("source", 1, free)
        return (source, FieldSpec("coefficient", 1, free, kind=Positive())) if self.heterogeneity else (source,)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The solution."""
        return (FieldSpec("solution", 1, self.grid),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same functions, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Sources and coefficients, float64, shape ``(count, 1, *grid)``."""
        law = GaussianField(smoothness=2.0, inverse_length=3.0, modes=MODES[self.grid.dim])
        inputs = Batch({"source": law.sample(count, self.grid, generator)[:, None]})
        if not self.heterogeneity:
            return inputs
        g = law.sample(count, self.grid, generator)[:, None]
        return inputs.merged({"coefficient": torch.exp(self.heterogeneity * g)})

    def operator(self, inputs: Batch) -> DiffusionOperator:
        """−∇·(a ∇ ·), finite volumes, divided by the cell's volume."""
        f = inputs["source"][:, 0]
        a = inputs["coefficient"][:, 0] if self.heterogeneity else torch.ones_like(f)
        return finite_volume_operator(a, tuple(1 / n for n in f.shape[1:]), self.grid.sides)

    def load(self, inputs: Batch) -> Tensor:
        """The source."""
        return inputs["source"].flatten(1)
