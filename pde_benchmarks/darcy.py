"""Darcy flow: the pressure in a porous medium, driven by a uniform source."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Kind, Phases, Positive
from pde_benchmarks.random_fields import GaussianField
from solvers import DiffusionOperator, finite_volume_operator

__all__ = ["Darcy"]


@dataclass(frozen=True)
class Darcy(EllipticProblem):
    """−∇·(a ∇u) = 1 in the unit square, u = 0 on its boundary; the map a ↦ u.

    Laws of the coefficient a:

    ``smooth``
        12 where a Gaussian field of covariance (−Δ + 9)⁻² is positive, else 3 (Li et al. 2021; smooth is its field).
    ``rough``
        12 and 2, the field's covariance (−Δ + 25)⁻² (He, Liu, Xu 2024).
    ``multiscale``
        Π_k (1 + cos(A_k π (x₁ + x₂))/2) (1 + sin(A_k π (x₂ − 3 x₁))/2), A_k ~ U(2^(k−1), 1.5 · 2^(k−1)).

    Discretised by two-point finite volumes on n × n cells with harmonic means on the faces.

    Parameters
    ----------
    law
        Which law the coefficient follows.
    resolution
        Cells per axis, a power of two (or a small number times one).
    factors
        Factors of the multiscale law; 5 is resolved from 64², the published 6 from 256².

    Examples
    --------
    >>> problem = Darcy(resolution=16)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> u = problem.solve(a)
    >>> bool(problem.residual(a, u)["solution"].abs().max() < 1e-6)
    True
    """

    law: Literal["smooth", "rough", "multiscale"] = "smooth"
    resolution: int = 64
    factors: int = 5
    name: ClassVar[str] = "darcy"
    isotropic: ClassVar[bool] = True
    tests_finer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.law not in ("smooth", "rough", "multiscale"):
            raise ProblemError(f"darcy law {self.law!r} is unknown: use smooth, rough or multiscale.")
        if self.resolution < 4:
            raise ProblemError(f"darcy resolution {self.resolution}: at least 4 cells per axis are needed.")
        if self.factors < 1:
            raise ProblemError(f"darcy factors {self.factors}: the multiscale law needs at least 1.")

    @property
    def grid(self) -> Grid:
        """n × n cell centres, zero on the boundary."""
        return Grid((self.resolution, self.resolution), "cell", ("dirichlet", "dirichlet"))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The coefficient."""
        kinds: dict[str, Kind] = {"smooth": Phases((3.0, 12.0)), "rough": Phases((2.0, 12.0)), "multiscale": Positive()}
        return (FieldSpec("coefficient", 1, self.grid, kind=kinds[self.law]),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The pressure."""
        return (FieldSpec("solution", 1, self.grid),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same coefficient functions, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Coefficients, float64, shape ``(count, 1, n, n)``."""
        match self.law:
            case "smooth":
                a = self._two_phases(GaussianField(2.0, 3.0), 3.0, 12.0, count, generator)
            case "rough":
                a = self._two_phases(GaussianField(2.0, 5.0), 2.0, 12.0, count, generator)
            case "multiscale":
                a = self._multiscale(count, generator)
        return Batch({"coefficient": a[:, None]})

    def operator(self, inputs: Batch) -> DiffusionOperator:
        """−∇·(a ∇ ·), finite volumes, divided by the cell's area."""
        a = inputs["coefficient"][:, 0]
        return finite_volume_operator(a, tuple(1 / n for n in a.shape[1:]), "dirichlet")

    def load(self, inputs: Batch) -> Tensor:
        """The source 1."""
        return torch.ones_like(inputs["coefficient"]).flatten(1)

    def _two_phases(self, law: GaussianField, low: float, high: float, count: int, generator: Generator) -> Tensor:
        return torch.where(law.sample(count, self.grid, generator) >= 0, high, low).to(torch.float64)

    def _multiscale(self, count: int, generator: Generator) -> Tensor:
        x1, x2 = torch.meshgrid(self.grid.points(0), self.grid.points(1), indexing="ij")
        draws = torch.rand((count, 2, self.factors), generator=generator, dtype=torch.float64)
        frequency = math.pi * 2.0 ** torch.arange(self.factors) * (1 + draws / 2)
        a = torch.ones(count, *self.grid.shape, dtype=torch.float64)
        for k in range(self.factors):
            along, across = frequency[:, 0, k, None, None], frequency[:, 1, k, None, None]
            a = a * (1 + torch.cos(along * (x1 + x2)) / 2) * (1 + torch.sin(across * (x2 - 3 * x1)) / 2)
        return a
