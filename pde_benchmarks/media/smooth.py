"""A smooth medium of two waves, solved on a finer grid."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.grid_transfer import inject, interpolate
from pde_benchmarks.media.medium import Medium
from pde_benchmarks.problem import Batch, Positive

__all__ = ["SmoothDarcy"]


@dataclass(frozen=True)
class SmoothDarcy(Medium):
    """Darcy flow (see `Medium`) with a = 2.1 + sin ω₁x + cos ω₂y, ω uniform in [low_frequency, high_frequency]².

    With the default parameters the map of Zang and Koutsourelakis (J. Comput. Phys. 538, 2025); [7π/4, 2π]² is theirs
    beyond the training law. The reference solution is that of a grid ``refinement`` times finer, at every
    ``refinement``-th node, with a interpolated by cubic splines (order 4, below the solution's order 2). Residual and
    correction are those of the n × n nodes: for the reference they show the error of that grid.

    Parameters
    ----------
    resolution, average
        As in `Medium`.
    low_frequency, high_frequency
        Range of both ω.
    refinement
        Of the reference's grid; 1 for the grid itself.

    Examples
    --------
    >>> problem = SmoothDarcy()
    >>> problem.solve(problem.sample(2, torch.Generator().manual_seed(0)))["solution"].shape
    torch.Size([2, 1, 29, 29])
    """

    low_frequency: float = 0.0
    high_frequency: float = 7 * math.pi / 4
    refinement: int = 2
    name: ClassVar[str] = "darcy-smooth"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low_frequency < self.high_frequency:
            raise ProblemError(
                f"darcy-smooth frequencies {self.low_frequency} to {self.high_frequency}: 0 ≤ low < high is expected."
            )
        if self.refinement < 1:
            raise ProblemError(f"darcy-smooth refinement {self.refinement}: at least 1 is expected.")

    @property
    def kind(self) -> Positive:
        """Between 0.1 and 4.1."""
        return Positive()

    @property
    def typical_coefficient(self) -> float:
        """The constant part."""
        return 2.1

    def coefficients(self, count: int, generator: Generator) -> Tensor:
        """Random media, float64, ``(count, n, n)``."""
        draws = torch.rand((count, 2), generator=generator, dtype=torch.float64, device=generator.device).cpu()
        frequency = self.low_frequency + (self.high_frequency - self.low_frequency) * draws
        along, across = (frequency[:, k, None] * self.grid.points(k) for k in (0, 1))
        return 2.1 + torch.sin(along)[:, :, None] + torch.cos(across)[:, None, :]

    def solve(self, inputs: Batch) -> Batch:
        """Reference solution on the finer grid, to a relative residual of 1e-10, in the dtype of the inputs."""
        if self.refinement == 1:
            return super().solve(inputs)
        a = inputs["coefficient"]
        coarse, fine = (
            Grid(tuple((n - 1) * ratio + 1 for n in a.shape[2:]), "vertex", ("unknown", "unknown"))
            for ratio in (1, self.refinement)
        )
        refined = interpolate(a.double(), coarse, fine)
        finer = dataclasses.replace(self, resolution=fine.shape[0], refinement=1)
        u = finer.solve(Batch({"coefficient": refined}))["solution"]
        return Batch({"solution": inject(u, self.refinement, "vertex").to(a.dtype).contiguous()})
