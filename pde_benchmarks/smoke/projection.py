"""Pressure projection: the part of a velocity that no pressure can push away, by any solver."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, pressure_operator
from pde_benchmarks.pressure.components import fluid_components
from pde_benchmarks.smoke.past_solutions import PastSolutions
from pde_benchmarks.smoke.walls import Walls
from solvers import CG, DiffusionOperator, GeometricMultigrid, Preconditioner, Solver, linear_solve
from solvers.linear_solve import SolveState

__all__ = ["Projected", "Projection", "ProjectionReport", "outflow", "pushed"]

_COMPATIBLE = 1e-6


@dataclass(frozen=True)
class ProjectionReport:
    """What one projection did, per sample.

    Attributes
    ----------
    iterations
        Of the solver, ``(batch)``.
    outflow
        max |Σ outward face velocities| over the fluid cells afterwards, h max|div u|, ``(batch)``.
    residual_norm, rhs_norm
        ‖b − A p‖₂ and ‖b‖₂, ``(batch)``; h max|div u| ≤ ‖b − A p‖₂.
    removed
        Largest mean that was taken out of b on a fluid component that no open cell touches, ``(batch)``.
    setup_seconds, seconds
        For what depends on the cells alone, and for the rest.
    method
        Solver and preconditioner.
    """

    iterations: Tensor
    outflow: Tensor
    residual_norm: Tensor
    rhs_norm: Tensor
    removed: Tensor
    setup_seconds: float
    seconds: float
    method: str


class Projected(NamedTuple):
    """Divergence-free velocity, p' = dt p / (ρ h) in units of velocity ``(batch, *grid)``, and the report."""

    velocity: tuple[Tensor, ...]
    pressure: Tensor
    report: ProjectionReport


class Projection:
    """u − ∇p' with A p' = b, b = −Σ outward face velocities, for faces between fluid and fluid or fluid and open.

    Afterwards Σ outward face velocities = −(b − A p') in every fluid cell, exactly: the divergence is the residual.
    What depends on the cells (the operator, the preconditioner, the past solutions) is kept while they stay the same.

    Parameters
    ----------
    solver, preconditioner
        Any of `solvers`; its tolerance is that of ‖b − A p'‖₂ / ‖b‖₂. Solver None: CG with geometric multigrid, to
        1e-6 in double and 1e-4 in single precision.
    past
        Number of earlier solutions whose span gives the start value; 0: start from zero.
    project_rhs
        Take the mean of b out of fluid that no open cell touches, whatever its size (and report it).

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.smoke import MacGrid, Walls
    >>> u = (torch.randn(1, 9, 8, dtype=torch.float64), torch.randn(1, 8, 9, dtype=torch.float64))
    >>> still = tuple(torch.zeros_like(v) for v in u)
    >>> walls = Walls(MacGrid((8, 8), 0.125), torch.ones(1, 8, 8, dtype=torch.int8), still, sides="open")
    >>> bool(Projection().project(u, walls).report.outflow < 1e-4)
    True
    """

    def __init__(
        self,
        solver: Solver | None = None,
        preconditioner: Preconditioner | None = None,
        past: int = 6,
        project_rhs: bool = False,
    ) -> None:
        if solver is None:
            preconditioner = preconditioner or GeometricMultigrid()
        self.solver, self.preconditioner, self.project_rhs = solver, preconditioner, project_rhs
        self.past = PastSolutions(past)
        self._system: _System | None = None

    @torch.no_grad()
    def project(self, velocity: tuple[Tensor, ...], walls: Walls) -> Projected:
        """Make `velocity` divergence-free; on closed faces it must be that of the walls (`Walls.impose`).

        Raises
        ------
        ProblemError
            Fluid that no open cell touches has to take in or give away volume: Σ b > 1e-6 ‖b‖₂.
        SolveError
            The solver failed.
        """
        began = perf_counter()
        system = self._system_for(walls, velocity[0].dtype)
        setup_seconds = perf_counter() - began
        d, batch = walls.grid.dimension, velocity[0].shape[0]
        given = torch.where(system.fluid, -outflow(velocity), 0).reshape(batch, -1)
        b = system.operator.project(given)
        removed = given - b
        if not self.project_rhs:
            system.require_compatible(given, removed, velocity)
        solution = linear_solve(
            system.operator,
            b,
            self.solver or CG(rtol=1e-6 if b.dtype == torch.float64 else 1e-4),
            None if system.state is not None else self.preconditioner,
            self.past.guess(b),
            state=system.state,
            project_rhs=True,
        )
        system.state = solution.state
        self.past.remember(solution.value, system.operator)
        pressure = solution.value.reshape(batch, *walls.grid.shape)
        velocity = pushed(velocity, pressure, walls)
        left = torch.where(system.fluid, outflow(velocity), 0).flatten(-d).abs().amax(-1)
        stats = solution.stats
        report = ProjectionReport(
            stats.iterations.expand(batch),
            left,
            stats.residual_norm.expand(batch),
            torch.linalg.vector_norm(given, dim=-1),
            removed.abs().amax(-1),
            setup_seconds + stats.setup_seconds,
            perf_counter() - began - setup_seconds - stats.setup_seconds,
            stats.method,
        )
        return Projected(velocity, pressure, report)

    def _system_for(self, walls: Walls, dtype: torch.dtype) -> _System:
        if self._system is None or not self._system.is_of(walls, dtype):
            if self._system is not None:  # else what is remembered was restored
                self.past.clear()
            self._system = _System(walls, dtype)
        return self._system


class _System:
    """What depends on the cells alone."""

    def __init__(self, walls: Walls, dtype: torch.dtype) -> None:
        self.cells, self.sides, self.dtype = walls.cells, walls.pairs, dtype
        self.fluid = walls.cells == FLUID
        self.operator: DiffusionOperator = pressure_operator(walls.cells, walls.pairs, dtype)
        self.state: SolveState | None = None
        parts = fluid_components(walls.cells, walls.pairs)
        sizes = torch.bincount(parts.labels[self.fluid])
        #: Cells of the floating component of every cell; 0 where none floats.
        self.sizes = torch.where(parts.floating, sizes[parts.labels.clamp(min=0)], 0).flatten(1)

    def is_of(self, walls: Walls, dtype: torch.dtype) -> bool:
        same = self.cells is walls.cells or (
            self.cells.shape == walls.cells.shape and torch.equal(self.cells, walls.cells)
        )
        return same and self.dtype == dtype and self.sides == walls.pairs

    def require_compatible(self, b: Tensor, removed: Tensor, velocity: tuple[Tensor, ...]) -> None:
        """Raise where the sum of b over a floating component is more than rounding."""
        sums = removed * self.sizes
        speed = max(float(u.abs().max()) for u in velocity)
        rounding = 10 * torch.finfo(b.dtype).eps * speed * b.shape[-1]
        limit = _COMPATIBLE * torch.linalg.vector_norm(b, dim=-1, keepdim=True) + rounding
        wrong = (sums.abs() > limit).nonzero()
        if len(wrong) == 0:
            return
        sample, cell = wrong[0].tolist()
        place = tuple(int(i) for i in torch.unravel_index(torch.tensor(cell), self.cells.shape[1:]))
        size = int(self.sizes.expand(b.shape)[sample, cell])
        raise ProblemError(
            f"sample {sample}: the {size} fluid cells around cell {place} touch no open cell, but their walls push "
            f"{-float(sums[sample, cell]):.3g} × h² of volume a time out of them: open a side, balance inflow and "
            "outflow, or project it away (project_rhs=True)."
        )


def outflow(velocity: tuple[Tensor, ...]) -> Tensor:
    """The sum of the outward face velocities of every cell, h div u, ``(batch, *grid)``.

    Examples
    --------
    >>> import torch
    >>> outflow((torch.tensor([[[0.0, 0.0], [1.0, 1.0]]]), torch.zeros(1, 1, 3)))
    tensor([[[1., 1.]]])
    """
    return sum((u.diff(dim=a + 1) for a, u in enumerate(velocity)), torch.zeros((), dtype=velocity[0].dtype))


def pushed(velocity: tuple[Tensor, ...], pressure: Tensor, walls: Walls) -> tuple[Tensor, ...]:
    """u − (p behind − p before) on the free faces; p = 0 in open cells and beyond open sides.

    Parameters
    ----------
    velocity
        ``(batch, *grid.face_shape(a))`` each.
    pressure
        p' in units of velocity, ``(batch, *grid.shape)``, zero outside the fluid.
    walls
        Which faces are free.

    Examples
    --------
    >>> from pde_benchmarks.smoke import MacGrid
    >>> u = (torch.zeros(1, 3, 2), torch.zeros(1, 2, 3))
    >>> walls = Walls(MacGrid((2, 2), 0.5), torch.ones(1, 2, 2, dtype=torch.int8), u)
    >>> pushed(u, torch.tensor([[[0.0, 0.0], [1.0, 1.0]]]), walls)[0][0, :, 0]
    tensor([ 0., -1.,  0.])
    """
    pushed = []
    for a, (u, free) in enumerate(zip(velocity, walls.free, strict=True)):
        beyond = torch.zeros_like(pressure.narrow(a + 1, 0, 1))
        jump = torch.diff(pressure, dim=a + 1, prepend=beyond, append=beyond)
        pushed.append(torch.where(free, u - jump, u))
    return tuple(pushed)
