"""Diffusion and sorption with the numbers of PDEBench: one initial concentration a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.diffusion_sorption.column import Column
from pde_benchmarks.diffusion_sorption.problem import (
    SorptionProblem,
    of_places,
    require_concentration,
    require_repeated,
)
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, FieldSpec

__all__ = ["DiffusionSorption"]

HIGHEST = 0.2


@dataclass(frozen=True)
class DiffusionSorption(SorptionProblem):
    """R(u) ∂u/∂t = D ∂²u/∂x² for 0 < x < 1, 0 < t ≤ 500; u = 1 at x = 0, u = −D ∂u/∂x at x = 1; the map u₀ ↦ u.

    A solute enters a column of soil, whose grains bind some of it: R(u) = 1 + (1 − φ)/φ · ρ k n (u⁺ + 10⁻⁶)^(n−1).
    Equation and numbers are those of PDEBench (Takamoto et al. 2022), u₀ is constant, uniform in [0, 0.2]. There the
    condition at x = 1 is printed as u = D ∂u/∂x, which is ill-posed; the published data follow the sign used here.

    The reference is a method of lines: finite volumes of order 2 on ``refinement`` × ``resolution`` cells with
    L-stable Runge-Kutta steps of order 3. The residual is that of finite volumes and implicit Euler steps on the
    fields' own grid, in the form that conserves the solute.

    Parameters
    ----------
    porosity, density, coefficient, exponent
        φ, ρ, k and n of Freundlich's law.
    duration
        T, in PDEBench's unit of time.
    right_sign
        ``generator``: u = −D ∂u/∂x at x = 1; ``printed``: u = D ∂u/∂x, refused on cells of h ≤ 2D.
    resolution, frames
        Cells, and instants from 0 to T.
    refinement
        Cells of the reference per cell, odd.
    steps
        Steps of the reference per frame.
    diffusivity
        D.

    Raises
    ------
    ProblemError
        If a parameter is out of range, or the printed sign meets cells of h ≤ 2D.

    Examples
    --------
    >>> problem = DiffusionSorption(resolution=16, frames=6, refinement=3)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["solution"].shape
    torch.Size([2, 1, 6, 16])
    >>> bool(problem.residual(start, problem.discrete_solution(start))["solution"].abs().max() < 1e-9)
    True
    """

    diffusivity: float = 5e-4
    name: ClassVar[str] = "diffusion-sorption"
    usual_samples: ClassVar[tuple[int, int]] = (100, 40)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.diffusivity < math.inf:
            raise ProblemError(f"{self.name} diffusivity {self.diffusivity}: a positive number is needed.")
        self.column(Batch({"initial": torch.zeros(1, 1, self.frames, self.resolution)}))  # refuses the printed sign

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial concentration, repeated at all frames."""
        return (FieldSpec("initial", 1, self.grid),)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial concentrations, float64, shape ``(count, 1, frames, n)``."""
        heights = HIGHEST * torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device).cpu()
        return Batch({"initial": heights[:, None, None, None].repeat(1, 1, self.frames, self.resolution)})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse initial values that are negative, not finite, or that vary in time."""
        self.column(inputs)  # refuses shapes
        super().check(inputs, where)
        require_concentration(where or self.name, "initial", inputs["initial"])
        require_repeated(where or self.name, "initial", inputs["initial"], axis=2)

    def column(self, inputs: Batch) -> Column:
        """The data of a batch on its own grid, in its dtype and on its device."""
        initial = of_places(inputs["initial"], "initial")
        count, frames = initial.shape[0], inputs["initial"].shape[2]
        return self._column(initial, initial.new_ones(count, frames), initial.new_full((count,), self.diffusivity))

    def scaled_inputs(self, inputs: Batch) -> list[Tensor]:
        """u₀ over its largest value."""
        return [inputs["initial"] / HIGHEST]
