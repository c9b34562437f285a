"""Darcy flow known only through cell averages: the equation between them is not known, and has to be learned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.grid_transfer import mean_of_blocks
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.problem import Batch, FieldSpec, Positive

__all__ = ["UpscaledDarcy"]


@dataclass(frozen=True)
class UpscaledDarcy(GuessedProblem):
    """Block means of a coefficient ↦ block means of the solution of −∇·(a ∇u) = 1 with the coefficient itself.

    The coefficient varies within the cells that a simulation can afford, as permeability does in a reservoir cell. A
    solver on these cells needs an effective coefficient, and whichever it takes (geometric, directional, …) is wrong by
    a modelling error that no number of V-cycles removes. A learner may know better, from solutions on the fine grid.

    Input ``coefficient`` has three channels: the geometric mean of every block, and along each axis the arithmetic mean
    over the block of the harmonic means of its lines (an upper bound of the effective coefficient; Cardwell and Parsons
    1945).

    Parameters
    ----------
    law, factors
        As in `Darcy`, drawn on the fine grid.
    resolution
        Cells per axis that learner and classical solver see.
    refinement
        Fine cells per axis in each of them.

    Examples
    --------
    >>> problem = UpscaledDarcy(resolution=8, refinement=2)
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(a)["solution"].shape
    torch.Size([2, 1, 8, 8])
    """

    law: Literal["smooth", "rough", "multiscale"] = "multiscale"
    resolution: int = 64
    refinement: int = 4
    factors: int = 6
    name: ClassVar[str] = "darcy-upscaled"
    guesses: ClassVar[tuple[str, ...]] = ("upscaled",)

    def __post_init__(self) -> None:
        if self.refinement < 2:
            raise ProblemError(f"darcy-upscaled refinement {self.refinement}: at least 2; without upscaling use darcy.")
        _ = self.fine, self.coarse  # their own checks

    @cached_property
    def fine(self) -> Darcy:
        """The problem with the coefficient itself."""
        return Darcy(self.law, self.resolution * self.refinement, self.factors)

    @cached_property
    def coarse(self) -> Darcy:
        """The same equation on the coarse grid, for an effective coefficient."""
        return Darcy(self.law, self.resolution, self.factors)

    @property
    def grid(self) -> Grid:
        """Coarse cells, zero on the boundary."""
        return self.coarse.grid

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Block means of the coefficient."""
        return (FieldSpec("coefficient", 3, self.grid, kind=Positive()),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """Block means of the pressure."""
        return (FieldSpec("solution", 1, self.grid),)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Block means of fresh coefficients, with the coefficients themselves as ``fine_coefficient``."""
        a = self.fine.sample(count, generator)["coefficient"]
        return Batch({"coefficient": self.upscale(a), "fine_coefficient": a})

    def upscale(self, a: Tensor) -> Tensor:
        """The three means ``(count, 3, n, n)`` of a fine coefficient ``(count, 1, m, m)``, m a multiple of n."""
        ratio = a.shape[-1] // self.resolution
        means = [mean_of_blocks(a, ratio, geometric=True)]
        for axis in (2, 3):
            lines = 1 / (1 / a).unflatten(axis, (-1, ratio)).mean(axis + 1)
            across = 5 - axis
            means.append(lines.unflatten(across, (-1, ratio)).mean(across + 1))
        return torch.cat(means, 1)

    def solve(self, inputs: Batch) -> Batch:
        """Block means of the reference solution on the fine grid.

        Raises
        ------
        ProblemError
            If the inputs come without ``fine_coefficient``.
        """
        if "fine_coefficient" not in inputs:
            raise ProblemError(
                "darcy-upscaled: the reference solution needs the field 'fine_coefficient', which `sample` gives; "
                "block means alone do not determine it."
            )
        u = self.fine.solve(Batch({"coefficient": inputs["fine_coefficient"]}))["solution"]
        return Batch({"solution": mean_of_blocks(u, self.refinement)})

    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """``upscaled``: one full-multigrid pass and a V-cycle for the geometric means as coefficient.

        No derivatives pass through it.
        """
        if kind not in self.guesses:
            raise ProblemError(f"first guess {kind!r} is unknown: use one of {', '.join(self.guesses)}.")
        return self.coarse.full_multigrid(Batch({"coefficient": inputs["coefficient"][:, :1]}), 1)
