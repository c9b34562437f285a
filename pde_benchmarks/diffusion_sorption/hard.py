"""Diffusion and sorption with functions for data: an uneven start, a left end that jumps, and soils that differ."""

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
from pde_benchmarks.grid import Grid
from pde_benchmarks.problem import Batch, FieldSpec, Positive
from pde_benchmarks.random_fields import GaussianField

__all__ = ["DiffusionSorptionHard"]

HIGHEST = 0.2
LOWEST_LEFT = 0.2
# Of the initial concentrations, before they are brought to [0, 1].
LAW = GaussianField.matern(regularity=2.5, length=0.1, dim=1, modes=64)


@dataclass(frozen=True)
class DiffusionSorptionHard(SorptionProblem):
    """R(u) ∂u/∂t = D ∂²u/∂x², u = g(t) at x = 0, u = −D ∂u/∂x at x = 1; the map (u₀, g, D) ↦ u for 0 < t ≤ 500.

    `DiffusionSorption` with data of many degrees of freedom, for its solutions form a curve. u₀ = 0.2 Φ(G) with the
    normal distribution's Φ and a Gaussian field G of unit variance and correlation length 0.1 (Matérn 5/2); g takes
    ``levels`` values, uniform in [0.2, 1], between random frames; D is log-uniform. Laws are ours. The reference and
    the residual are those of `DiffusionSorption`; a value of g at a frame holds since the frame before it.

    Parameters
    ----------
    porosity, density, coefficient, exponent, duration, right_sign, resolution, frames, refinement, steps
        As in `DiffusionSorption`.
    low, high
        Range of D.
    levels
        Values of g, at most frames − 1.

    Raises
    ------
    ProblemError
        If a parameter is out of range, or the printed sign meets cells of h ≤ 2D.

    Examples
    --------
    >>> problem = DiffusionSorptionHard(resolution=16, frames=6, refinement=3)
    >>> data = problem.sample(2, torch.Generator().manual_seed(0))
    >>> sorted(data), problem.solve(data)["solution"].shape
    (['diffusivity', 'initial', 'left'], torch.Size([2, 1, 6, 16]))
    """

    low: float = 1e-4
    high: float = 1e-3
    levels: int = 5
    name: ClassVar[str] = "diffusion-sorption-hard"
    usual_samples: ClassVar[tuple[int, int]] = (200, 40)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.low <= self.high < math.inf:
            raise ProblemError(f"{self.name} low {self.low}, high {self.high}: expected 0 < low ≤ high.")
        if not 1 <= self.levels < self.frames:
            raise ProblemError(
                f"{self.name} levels {self.levels}: between 1 and {self.frames - 1} fit {self.frames} frames."
            )
        field = torch.full((1, 1, self.frames, self.resolution), self.high)
        self.column(Batch({"initial": field, "left": field, "diffusivity": field}))  # refuses the printed sign

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """u₀ repeated at all frames, g in all cells, D everywhere."""
        return (
            FieldSpec("initial", 1, self.grid),
            FieldSpec("left", 1, self.grid),
            FieldSpec("diffusivity", 1, self.grid, kind=Positive()),
        )

    def sample(self, count: int, generator: Generator) -> Batch:
        """u₀, g and D, float64, each ``(count, 1, frames, n)``."""
        cells = Grid((self.resolution,), "cell", ("neumann",))
        field = LAW.sample(count, cells, generator).cpu() / LAW.amplitudes(1).norm()
        initial = HIGHEST * torch.special.ndtr(field)
        spread = torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device).cpu()
        diffusivity = self.low * (self.high / self.low) ** spread
        shape = (count, 1, self.frames, self.resolution)
        return Batch(
            {
                "initial": initial[:, None, None].expand(shape).contiguous(),
                "left": self._left(count, generator)[:, None, :, None].expand(shape).contiguous(),
                "diffusivity": diffusivity[:, None, None, None].expand(shape).contiguous(),
            }
        )

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse concentrations that are negative, and values that vary where one is to be repeated."""
        where = where or self.name
        self.column(inputs)  # refuses shapes
        super().check(inputs, where)
        for name, axes in (("initial", (2,)), ("left", (3,)), ("diffusivity", (2, 3))):
            require_concentration(where, name, inputs[name])
            for axis in axes:
                require_repeated(where, name, inputs[name], axis)

    def column(self, inputs: Batch) -> Column:
        """The data of a batch on its own grid, in its dtype and on its device."""
        initial = of_places(inputs["initial"], "initial")
        for name in ("left", "diffusivity"):
            if inputs[name].shape != inputs["initial"].shape:
                raise ProblemError(
                    f"{name}: array of shape {tuple(inputs[name].shape)}, but that of initial is "
                    f"{tuple(inputs['initial'].shape)}: one grid is expected; repeat values with expand."
                )
        return self._column(initial, inputs["left"][:, 0, :, 0], inputs["diffusivity"][:, 0, 0, 0])

    def scaled_inputs(self, inputs: Batch) -> list[Tensor]:
        """u₀ over its largest value, g, and log D from 0 to 1."""
        width = math.log(self.high / self.low) or 1.0
        return [inputs["initial"] / HIGHEST, inputs["left"], (inputs["diffusivity"] / self.low).log() / width]

    def _left(self, count: int, generator: Generator) -> Tensor:
        """g at the frames, ``(count, frames)``: new values begin after frame 0 and after levels − 1 random frames."""

        def uniform(columns: int) -> Tensor:
            size = (count, columns)
            return torch.rand(size, generator=generator, dtype=torch.float64, device=generator.device)

        values = LOWEST_LEFT + (1 - LOWEST_LEFT) * uniform(self.levels)
        order = uniform(self.frames - 2).argsort(1)
        jumps = torch.zeros(count, self.frames, dtype=torch.int64, device=generator.device)
        jumps.scatter_(1, 2 + order[:, : self.levels - 1], 1)
        return values.gather(1, jumps.cumsum(1)).cpu()
