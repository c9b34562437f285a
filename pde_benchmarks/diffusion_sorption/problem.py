"""What both problems of diffusion and sorption share: equation, reference, residual and closed forms."""

from __future__ import annotations

import dataclasses
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import Column, RightSign
from pde_benchmarks.diffusion_sorption.freundlich import Freundlich
from pde_benchmarks.diffusion_sorption.implicit_euler import implicit_euler
from pde_benchmarks.diffusion_sorption.method_of_lines import method_of_lines
from pde_benchmarks.diffusion_sorption.residual import SorptionResidual
from pde_benchmarks.diffusion_sorption.similarity import closed_forms, left_response, places
from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem
from pde_benchmarks.termwise import TermwiseProblem, TermwiseResidual

__all__ = ["SorptionProblem", "of_places", "require_concentration", "require_repeated"]

# So that the arrays of a Newton step stay in cache.
SAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class SorptionProblem(Problem, TermwiseProblem, DiscretisedProblem):
    """R(u) ∂u/∂t = D ∂²u/∂x² for 0 < x < 1, 0 < t ≤ T, from u₀ and the left value to u at all frames.

    All fields live on frames × cells, time first: instants k T/(frames − 1), the start included, and cell centres.
    What does not depend on time or place is repeated along that axis, so that a grid learner meets one grid.
    """

    porosity: float = 0.29
    density: float = 2880.0
    coefficient: float = 3.5e-4
    exponent: float = 0.874
    duration: float = 500.0
    right_sign: RightSign = "generator"
    resolution: int = 64
    frames: int = 51
    refinement: int = 3
    steps: int = 5

    def __post_init__(self) -> None:
        Freundlich(self.porosity, self.density, self.coefficient, self.exponent)  # checks its numbers itself
        if self.right_sign not in ("generator", "printed"):
            raise ProblemError(f"{self.name} right_sign {self.right_sign!r} is unknown: use generator or printed.")
        if self.right_sign == "printed":
            warnings.warn(
                f"{self.name} right_sign printed: u = D ∂u/∂x at the right end is ill-posed, a mode there grows as "
                "exp(t/(R D)) and only cells wider than 2D hide it: what is solved or learned depends on the grid. It "
                "is there for comparison; use right_sign=generator for everything else.",
                RuntimeWarning,
                stacklevel=2,
            )
        if self.resolution < 8 or self.frames < 2:
            raise ProblemError(
                f"{self.name} resolution {self.resolution}, frames {self.frames}: at least 8 cells and 2 frames, the "
                "start included, are needed."
            )
        if self.refinement < 1 or self.refinement % 2 == 0:
            raise ProblemError(
                f"{self.name} refinement {self.refinement}: an odd number is expected, so that every cell has a fine "
                "one in its middle."
            )
        if self.steps < 1 or not 0 < self.duration < math.inf:
            raise ProblemError(
                f"{self.name} steps {self.steps}, duration {self.duration}: at least 1 and a positive time are needed."
            )

    @property
    def law(self) -> Freundlich:
        """R and m."""
        return Freundlich(self.porosity, self.density, self.coefficient, self.exponent)

    @property
    def grid(self) -> Grid:
        """Frames × cells; vertices along one axis and cell centres along the other have no common name."""
        return Grid((self.frames, self.resolution), "unknown", ("unknown", "unknown"))

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The concentration, start included."""
        return (FieldSpec("solution", 1, self.grid),)

    @abstractmethod
    def column(self, inputs: Batch) -> Column:
        """The data of a batch on its own grid, in its dtype and on its device."""

    @abstractmethod
    def scaled_inputs(self, inputs: Batch) -> list[Tensor]:
        """The input fields ``(B, 1, frames, n)``, of order one."""

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same inputs, on other cells."""
        return dataclasses.replace(self, resolution=resolution)

    def solve(self, inputs: Batch) -> Batch:
        """Reference ``(count, 1, frames, n)``: ``refinement`` × n cells, ``steps`` steps a frame, in float64.

        Between cell centres the initial concentration is linear; what is returned are values at cell centres. Not
        differentiable.

        Raises
        ------
        ProblemError
            If `check` refuses a sample, or the printed sign meets fine cells.
        """
        return self._in_blocks(inputs, self._followed)

    def discrete_solution(self, inputs: Batch) -> Batch:
        """That of implicit Euler steps from frame to frame, ``(count, 1, frames, n)``."""
        return self._in_blocks(inputs, implicit_euler)

    def termwise(self, inputs: Batch) -> TermwiseResidual:
        """The rows of the implicit Euler steps."""
        return SorptionResidual(self.column(inputs))

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Rows of `termwise`, of order one; differentiable in both arguments."""
        return Batch({"solution": self.termwise(inputs).rows(outputs["solution"][:, 0])[:, None]})

    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """−Ã⁻¹ of the residual: a Newton step of all frames at once, what is missing from u to first order."""
        return Batch({"solution": self.termwise(inputs).correction(outputs["solution"][:, 0])[:, None]})

    def offset(self, inputs: Batch) -> Tensor:
        """The initial concentration at all times."""
        column = self.column(inputs)
        return column.initial[:, None].expand(-1, column.frames, -1)

    def envelope(self, inputs: Batch) -> Tensor:
        """Zero at the start, else one."""
        later = torch.ones_like(self.offset(inputs))
        later[:, 0] = 0
        return later

    def closed_forms(self, inputs: Batch) -> Mapping[str, Tensor]:
        """1, t, x, tx, xx, tt, and half-line solutions from both ends with R = 4."""
        return closed_forms(self.column(inputs))

    def coordinates(self, inputs: Batch) -> Tensor:
        """τ, x, the half-line solution from the left, and the scaled inputs."""
        column = self.column(inputs)
        known = [*places(column), left_response(column)]
        known = [field.expand(len(column.initial), column.frames, column.cells)[:, None] for field in known]
        return torch.cat([*known, *self.scaled_inputs(inputs)], 1)

    def metrics(self, prediction: Batch, truth: Batch) -> dict[str, float]:
        """The usual errors on frames × cells, and the relative L² error of the last frame."""
        last = relative_l2(prediction["solution"][:, :, -1], truth["solution"][:, :, -1]).nanmean().item()
        return {**super().metrics(prediction, truth), "relative_l2_last_frame": last}

    def _in_blocks(self, inputs: Batch, solver: Callable[[Column], Tensor]) -> Batch:
        """Solutions in float64, a few samples at a time, in the dtype and on the device of the inputs."""
        self.check(inputs)
        (first, *_) = inputs.values()
        parts = [first.new_zeros((0, *first.shape[1:]))]
        for start in range(0, inputs.count, SAMPLES_AT_ONCE):
            rows = inputs.rows(slice(start, start + SAMPLES_AT_ONCE)).to(dtype=torch.float64)
            parts.append(solver(self.column(rows))[:, None].to(first.dtype))
        return Batch({"solution": torch.cat(parts)})

    def _followed(self, column: Column) -> Tensor:
        """The reference at the centres of the column's cells."""
        fine = dataclasses.replace(column, initial=_between(column.initial, self.refinement))
        return method_of_lines(fine, self.steps)[..., self.refinement // 2 :: self.refinement]

    def _column(self, initial: Tensor, left: Tensor, diffusivity: Tensor) -> Column:
        return Column(self.law, self.duration, self.right_sign, initial, left, diffusivity)


def of_places(field: Tensor, name: str) -> Tensor:
    """What a field ``(B, 1, frames, n)`` says of places, ``(B, n)``; raises ProblemError for another shape."""
    if field.ndim != 4 or field.shape[1] != 1 or field.shape[2] < 2 or not field.is_floating_point():
        raise ProblemError(
            f"{name}: array of shape {tuple(field.shape)}, {field.dtype}; real numbers (samples, 1, frames, cells) "
            "with at least 2 frames are expected."
        )
    return field[:, 0, 0]


def require_repeated(where: str, name: str, field: Tensor, axis: int) -> None:
    """Refuse a field that varies along an axis where one value is repeated; raises ProblemError."""
    varies = (field != field.narrow(axis, 0, 1)).flatten(1).any(1)
    if varies.any():
        along = "time" if axis == 2 else "the column"
        raise ProblemError(
            f"{where}: field {name!r} of sample {int(varies.nonzero()[0])} varies along {along}, where one value is to "
            "be repeated: repeat it with expand."
        )


def require_concentration(where: str, name: str, field: Tensor) -> None:
    """Refuse negative or non-finite concentrations; raises ProblemError."""
    wrong = (~((field >= 0) & field.isfinite())).flatten(1).any(1)
    if wrong.any():
        sample = int(wrong.nonzero()[0])
        raise ProblemError(
            f"{where}: field {name!r} of sample {sample} reaches {field[sample].min():.4g}, but concentrations are "
            "finite and not negative: mend or remove it."
        )


def _between(values: Tensor, refinement: int) -> Tensor:
    """Values ``(B, n)`` at cell centres, linear between them and constant at the ends, on ``refinement`` n cells."""
    return torch.nn.functional.interpolate(
        values[:, None], scale_factor=float(refinement), mode="linear", align_corners=False
    )[:, 0]
