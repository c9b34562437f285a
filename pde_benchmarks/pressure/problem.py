"""The pressure that makes a flow around random obstacles free of divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID, Side, pressure_operator
from pde_benchmarks.pressure.components import compatible
from pde_benchmarks.pressure.random_cells import RandomCells
from pde_benchmarks.pressure.right_hand_sides import noise, smooth
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases
from solvers import DiffusionOperator

__all__ = ["PressurePoisson", "with_open_rim"]


@dataclass(frozen=True)
class PressurePoisson(EllipticProblem):
    """−h² Δp = b in the fluid, no flux into solid cells, p = 0 in open cells; the map (cells, b) ↦ p.

    The matrix is that of `pressure_operator` in a closed box. Open sides of the box are a layer of open cells at its
    rim, so that the field of cells says all. Obstacles are those of `RandomCells`; p is zero outside the fluid, and of
    mean zero where fluid that nothing open touches is asked for (none is drawn).

    Laws of b, which has the root mean square 1 in the fluid:

    ``noise``
        Independent normal numbers: what advection leaves from one time step to the next.
    ``smooth``
        A few waves of random phases, up to three along an axis: buoyancy and large eddies.
    ``mixed``
        Each sample one of the two.

    Parameters
    ----------
    resolution
        Cells per axis, a multiple of 4 and at least 16.
    dimension
        2 or 3.
    law
        Which law the right-hand side follows.

    Examples
    --------
    >>> problem = PressurePoisson(resolution=16)
    >>> inputs = problem.sample(2, torch.Generator().manual_seed(0))
    >>> p = problem.solve(inputs)
    >>> bool(problem.residual(inputs, p)["pressure"].abs().max() < 1e-8)
    True
    """

    resolution: int = 64
    dimension: Literal[2, 3] = 2
    law: Literal["mixed", "noise", "smooth"] = "mixed"
    name: ClassVar[str] = "pressure"
    isotropic: ClassVar[bool] = True
    guesses: ClassVar[tuple[str, ...]] = ("fmg",)

    def __post_init__(self) -> None:
        if self.resolution < 16 or self.resolution % 4:
            raise ProblemError(f"pressure resolution {self.resolution}: a multiple of 4, at least 16, is expected.")
        if self.dimension not in (2, 3):
            raise ProblemError(f"pressure dimension {self.dimension}: 2 or 3 is expected.")
        if self.law not in ("mixed", "noise", "smooth"):
            raise ProblemError(f"pressure law {self.law!r} is unknown: use mixed, noise or smooth.")

    @property
    def grid(self) -> Grid:
        """Cell centres of a closed box."""
        return Grid((self.resolution,) * self.dimension, "cell", ("neumann",) * self.dimension)

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Solid 0, fluid 1 or open 2; and the right-hand side."""
        free = Grid(self.grid.shape, "cell", ("unknown",) * self.dimension)
        phases = Phases((float(SOLID), float(FLUID), float(OPEN)))
        return (FieldSpec("cells", 1, free, kind=phases), FieldSpec("rhs", 1, free))

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The pressure."""
        return (FieldSpec("pressure", 1, self.grid),)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Cells and right-hand sides, float64, shape ``(count, 1, *grid)``."""
        cells = with_open_rim(*RandomCells().sample(count, self.grid.shape, generator))
        fluid = cells == FLUID
        while not bool(fluid.flatten(1).any(1).all()):  # a puddle one cell deep at an open side
            dry = ~fluid.flatten(1).any(1)
            cells[dry] = with_open_rim(*RandomCells().sample(int(dry.sum()), self.grid.shape, generator))
            fluid = cells == FLUID
        rough, waves = noise(fluid, generator), smooth(fluid, generator)
        is_rough = torch.rand(count, generator=generator) < 0.5
        chosen = is_rough if self.law == "mixed" else torch.full_like(is_rough, self.law == "noise")
        rhs = torch.where(chosen.reshape(-1, *[1] * self.dimension), rough, waves)
        return Batch({"cells": cells[:, None].double(), "rhs": rhs[:, None]})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse cells and right-hand sides for which no pressure exists.

        Raises
        ------
        ProblemError
            Cells other than 0, 1 and 2, none of them fluid, a right-hand side outside the fluid or one that does not
            sum to zero in fluid that nothing open touches.
        """
        try:
            compatible(_cells(inputs), _closed(inputs), inputs["rhs"][:, 0])
        except ProblemError as error:
            raise ProblemError(f"{where or self.name}: {error}") from None

    def operator(self, inputs: Batch) -> DiffusionOperator:
        """−h² Δ in the fluid; rows of other cells are zero."""
        return pressure_operator(_cells(inputs), _closed(inputs), inputs["cells"].dtype)

    def load(self, inputs: Batch) -> Tensor:
        """The right-hand side."""
        return inputs["rhs"].flatten(1)

    def solve(self, inputs: Batch) -> Batch:
        """As `EllipticProblem.solve`; inputs without a solution are refused as by `check`."""
        if inputs.count:
            self.check(inputs)
        return super().solve(inputs)

    def scaled_residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """D⁻¹ (b − A p) in cells that have a neighbour, zero elsewhere."""
        A, p = self.operator(inputs), outputs["pressure"]
        diagonal = A.diagonal()
        step = (self.load(inputs) - A.mv(p.flatten(1))) / torch.where(diagonal > 0, diagonal, 1)
        return Batch({"pressure": torch.where(diagonal > 0, step, 0).reshape(p.shape)})

    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """``fmg``: one full-multigrid pass. There is no coarse grid of the same equation: it would lose thin walls."""
        if kind not in self.guesses:
            raise ProblemError(f"first guess {kind!r} is unknown: use one of {', '.join(self.guesses)}.")
        return super().first_guess(inputs, kind)


def with_open_rim(cells: Tensor, sides: Tensor) -> Tensor:
    """`cells` ``(count, *grid)`` with the fluid at open sides, bool ``(count, d, 2)``, made open itself.

    Examples
    --------
    >>> with_open_rim(torch.tensor([[1, 1, 0, 1]]), torch.tensor([[[True, True]]]))
    tensor([[2, 1, 0, 2]])
    """
    cells, d = cells.clone(), cells.ndim - 1
    for axis in range(d):
        for place, is_open in ((0, sides[:, axis, 0]), (-1, sides[:, axis, 1])):
            layer = cells.select(axis + 1, place)
            wet = is_open.reshape(-1, *[1] * (d - 1)) & (layer == FLUID)
            layer[wet] = OPEN
    return cells


def _closed(inputs: Batch) -> list[Side]:
    return ["solid"] * (inputs["cells"].ndim - 2)


def _cells(inputs: Batch) -> Tensor:
    """The cells as whole numbers, ``(count, *grid)``."""
    field = inputs["cells"][:, 0]
    wrong = ~((field == SOLID) | (field == FLUID) | (field == OPEN))
    if bool(wrong.any()):
        value = float(field[wrong][0])
        raise ProblemError(f"cells with the value {value:g}: 0 (solid), 1 (fluid) or 2 (open) is expected.")
    return field.to(torch.int8)
