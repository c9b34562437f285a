"""What an approximate inverse has to know: the correction that belongs to a residual of an elliptic problem."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.darcy import Darcy
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.problem import Batch, FieldSpec, Grid
from solvers import CG, DiffusionOperator, FastPoisson, Inverse, Jacobi, finite_volume_operator, linear_solve

__all__ = ["Corrections"]

# Steps after which plain conjugate gradients are interrupted: at first what is left is smooth, then it is rough.
STEPS = (0, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Corrections(EllipticProblem):
    """A(a) z = r with the operator of another elliptic problem; the map (a, ρ) ↦ z, that of an ideal preconditioner.

    The input ``residual`` is ρ = (−Δ)⁻¹ r by fast diagonalisation, scaled to a root mean square of 1: a residual in the
    units of the solution. The map from it is of order zero, so that both of its sides are of order one on every grid,
    whether r is smooth or rough. (The map from r itself, or from h² r or D⁻¹ r, divides by the square of the frequency:
    its values differ by factors of hundreds between smooth and rough r of one size.) As z is homogeneous in r, the
    scaling loses nothing.

    The law of r, one third of the samples each, is what a Krylov method meets:

    ``guess``
        the residual of a full-multigrid pass: what a good first guess, or a V-cycle, leaves;
    ``krylov``
        the residual after 0 (the load itself) to 64 steps of conjugate gradients with D⁻¹: smooth error, half removed;
    ``noise``
        independent normal numbers, so that no direction is missing from the training data.

    Parameters
    ----------
    whole
        The problem whose operator is to be inverted.

    Raises
    ------
    ProblemError
        If its operator is not known, or does not live on cells.

    Examples
    --------
    >>> problem = Corrections(Darcy(resolution=16))
    >>> inputs = problem.sample(2, torch.Generator().manual_seed(0))
    >>> sorted(inputs), problem.solve(inputs)["correction"].shape
    (['coefficient', 'residual'], torch.Size([2, 1, 16, 16]))
    """

    whole: EllipticProblem = dataclasses.field(default_factory=Darcy)
    name: ClassVar[str] = "corrections"
    __pydantic_config__: ClassVar[dict[str, Any]] = {"arbitrary_types_allowed": True}

    def __post_init__(self) -> None:
        if not isinstance(self.whole, EllipticProblem):
            name = getattr(self.whole, "name", self.whole)
            raise ProblemError(f"corrections of {name}: a problem with a known elliptic operator is needed, as darcy.")
        if isinstance(self.whole, Corrections):
            raise ProblemError("corrections of corrections: they are the same; give the problem itself.")
        grid = self.whole.output.support
        if not isinstance(grid, Grid) or grid.alignment != "cell":
            raise ProblemError(f"corrections of {self.whole.name}: its solution must live on the cells of a grid.")

    @property
    def isotropic(self) -> bool:  # type: ignore[override]
        """As the problem whose operator is inverted."""
        return self.whole.isotropic

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Those of the problem, and the residual."""
        return (*self.whole.inputs, FieldSpec("residual", 1, self._grid))

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The correction."""
        return (FieldSpec("correction", 1, self._grid),)

    def check(self, inputs: Batch, where: str = "") -> None:
        """As the problem itself does."""
        self.whole.check(inputs, where)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Inputs of the problem and residuals of mixed kinds, float64."""
        inputs = self.whole.sample(count, generator)
        kind = torch.randint(3, (count,), generator=generator)
        steps = torch.tensor(STEPS)[torch.randint(len(STEPS), (count,), generator=generator)]
        r = torch.randn(self.whole.load(inputs).shape, generator=generator, dtype=torch.float64)
        for limit in (None, *STEPS):
            chosen = kind == 0 if limit is None else (kind == 1) & (steps == limit)
            rows = chosen.nonzero().flatten()
            if len(rows):
                r[rows] = _left_over(self.whole, inputs.rows(rows), limit)
        residual, _ = self.scaled(r)
        return inputs.merged({"residual": residual})

    def scaled(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """The input ``residual`` for flat r ``(count, n)`` on the problem's grid, and the sizes taken out of it.

        Returns
        -------
        tuple
            ρ / size ``(count, 1, *grid)``, and size ``(count, 1)``: the root mean square of ρ, 1 where r vanishes. The
            correction that belongs to r is size times the one that belongs to the field.
        """
        grid = self._grid
        rho = _inverse_laplacian(grid.shape, grid.sides, r.dtype, r.device)(r)
        size = rho.square().mean(1, keepdim=True).sqrt()
        size = torch.where(size > 0, size, 1)
        return (rho / size).reshape(len(r), 1, *grid.shape), size

    def operator(self, inputs: Batch) -> DiffusionOperator:
        """The problem's own."""
        return self.whole.operator(inputs)

    def load(self, inputs: Batch) -> Tensor:
        """The residual r = −Δ ρ itself, on the grid of the inputs."""
        rho = inputs["residual"]
        return _laplacian(tuple(rho.shape[2:]), self._grid.sides, rho.dtype, rho.device).mv(rho.flatten(1))

    @property
    def _grid(self) -> Grid:
        grid = self.whole.output.support
        assert isinstance(grid, Grid)  # __post_init__ saw to it
        return grid


Sides = tuple[tuple[str, str], ...]


def _laplacian(shape: tuple[int, ...], sides: Sides, dtype: torch.dtype, device: torch.device) -> DiffusionOperator:
    """−Δ on cells of the unit box, with the conditions of the solution."""
    return finite_volume_operator(torch.ones(shape, dtype=dtype, device=device), tuple(1 / n for n in shape), sides)


@cache
def _inverse_laplacian(shape: tuple[int, ...], sides: Sides, dtype: torch.dtype, device: torch.device) -> Inverse:
    return FastPoisson().setup(_laplacian(shape, sides, dtype, device))


def _left_over(problem: EllipticProblem, inputs: Batch, steps: int | None) -> Tensor:
    """f − A u, flat, for u so many steps of conjugate gradients with D⁻¹, or (None) one full-multigrid pass."""
    A, b = problem.operator(inputs), problem.load(inputs)
    if steps is None:
        return b - A.mv(problem.full_multigrid(inputs)[problem.output.name].flatten(1))
    return b - A.mv(linear_solve(A, b, CG(max_iterations=steps), Jacobi(), throw=False).value)
