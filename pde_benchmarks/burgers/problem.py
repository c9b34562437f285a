"""The viscous Burgers equation: waves that steepen into thin shocks."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator

from pde_benchmarks.burgers.cole_hopf import cole_hopf, series
from pde_benchmarks.burgers.upwind import upwind
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.problem import Batch, FieldSpec
from pde_benchmarks.random_fields import GaussianField

__all__ = ["Burgers"]

WAVES = 127


@dataclass(frozen=True)
class Burgers(GuessedProblem):
    """∂u/∂t + ∂(u²/2)/∂x = ν ∂²u/∂x² on the periodic unit interval; the map u(·, 0) ↦ u(·, T).

    u(·, 0) is Gaussian with covariance 625 (−Δ + 25)⁻² and mean zero (Li et al. 2021), its waves beyond k = 127 left
    out (6e-4 of its norm). The reference is the exact solution, a quadrature that errs by rounding; at ν = 1e-3 its
    shocks are about 3e-3 wide, less than a mesh width of 256 points, and the outputs are its values at the points.

    Parameters
    ----------
    viscosity
        ν.
    time
        T.
    resolution
        Points x_i = i/n, even.
    nodes
        Quadrature nodes per unit length of the exact solution; the message says so if they are too few.

    Examples
    --------
    >>> problem = Burgers(resolution=64)
    >>> u0 = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(u0)["solution"].shape
    torch.Size([2, 1, 64])
    """

    viscosity: float = 1e-3
    time: float = 1.0
    resolution: int = 256
    nodes: int = 1024
    name: ClassVar[str] = "burgers"
    guesses: ClassVar[tuple[str, ...]] = ("upwind",)

    def __post_init__(self) -> None:
        for name in ("viscosity", "time"):
            if not 0 < getattr(self, name) < math.inf:
                raise ProblemError(f"burgers {name} {getattr(self, name)}: a positive number is needed.")
        if self.resolution < 8 or self.resolution % 2:
            raise ProblemError(f"burgers resolution {self.resolution}: an even number, at least 8, is needed.")
        if self.nodes < 16:
            raise ProblemError(f"burgers nodes {self.nodes}: at least 16 are needed.")

    @property
    def grid(self) -> Grid:
        """n left nodes, periodic."""
        return Grid((self.resolution,), "left", ("periodic",))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial velocity."""
        return (FieldSpec("initial", 1, self.grid),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The velocity at time T."""
        return (FieldSpec("solution", 1, self.grid),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial functions (cut to the waves resolved), on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial velocities, float64, shape ``(count, 1, n)``."""
        covariance = GaussianField(smoothness=2.0, inverse_length=5.0, boundary="periodic", modes=2 * WAVES + 1)
        resolving = Grid((2 * WAVES + 2,), "left", ("periodic",))
        # The field's covariance is 125 (−Δ + 25)⁻².
        functions = math.sqrt(5) * covariance.sample(count, resolving, generator)
        return Batch({"initial": series(functions, self.resolution)[:, None]})

    def solve(self, inputs: Batch) -> Batch:
        """The exact solution, computed in float64; differentiable."""
        initial = inputs["initial"]
        parts = [initial[:0]]
        for sample, row in enumerate(initial.to(torch.float64)):  # one at a time: its weights stay in cache
            parts.append(cole_hopf(row, self.viscosity, self.time, self.nodes, sample).to(initial.dtype)[None])
        return Batch({"solution": torch.cat(parts)})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """The outputs minus the solution formula of the inputs; differentiable in both."""
        return Batch({"solution": outputs["solution"] - self.solve(inputs)["solution"]})

    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """``upwind``: finite volumes on the inputs' own grid, in their dtype; differentiable."""
        if kind != "upwind":
            raise ProblemError(f"burgers: first guess {kind!r} is unknown: use {', '.join(self.guesses)}.")
        return Batch({"solution": upwind(inputs["initial"][:, 0], self.viscosity, self.time)[:, None]})
