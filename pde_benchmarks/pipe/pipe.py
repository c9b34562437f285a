"""Flow through a curved pipe: the map from the pipe's shape to the velocity in it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import inject, interpolate
from pde_benchmarks.guessed import GuessedProblem
from pde_benchmarks.pipe.centre_lines import CentreLines
from pde_benchmarks.pipe.flow import Flow, linearised_flow, navier_stokes_flow, stokes_flow
from pde_benchmarks.pipe.parallel_flow import inflow_velocity, parallel_flow
from pde_benchmarks.problem import Batch, FieldSpec, Grid

__all__ = ["Pipe"]

COARSENING = 4
SAMPLES_AT_ONCE = 8  # a factor at 65² takes 40 MB


@dataclass(frozen=True)
class Pipe(GuessedProblem):
    """u·∇u − Δu/Re + ∇p = 0, ∇·u = 0 in a curved channel of width 1; the map from its grid to the velocity u_x.

    A substitute of our own for the published pipe flow (Li, Huang, Liu & Anandkumar 2023), with the same fields: the
    inputs are the coordinates of the nodes of a structured grid that follows the channel, the output is the horizontal
    velocity at the nodes. Parabolic inflow with peak 1 through the straight left end, no slip at the walls, free
    outflow ∂u/∂n/Re − p n = 0. Axis 0 of all arrays runs along the pipe, axis 1 from its right wall to its left one.
    Centre lines are bent at random, but never so much that a cell is inverted (`CentreLines`).

    Taylor–Hood elements (biquadratic velocity on the n × n nodes, bilinear pressure on every second of them):
    velocities of order 3 in L², what goes in comes out to rounding.

    Parameters
    ----------
    reynolds
        Re = width · peak velocity / viscosity; 0 is creeping flow (Stokes), for which one linear system is solved.
        Tried up to 200 (the published data's) from 33² nodes on, at four times the time.
    resolution
        Nodes per axis, 8k + 1 and at least 17.
    length
        Arc length of the centre line in widths.
    bend
        Bound of the angle between centre line and x-axis, radians.
    modes
        Random numbers that make the centre line: the more, the more bends.

    Raises
    ------
    ProblemError
        A parameter is out of range, or channels could fold.

    Examples
    --------
    >>> problem = Pipe(resolution=17)
    >>> shapes = problem.sample(2, torch.Generator().manual_seed(0))
    >>> shapes["coordinates"].shape, problem.solve(shapes)["velocity"].shape
    (torch.Size([2, 2, 17, 17]), torch.Size([2, 1, 17, 17]))
    """

    reynolds: float = 0.0
    resolution: int = 65
    length: float = 10.0
    bend: float = 1.0
    modes: int = 5
    name: ClassVar[str] = "pipe"
    guesses: ClassVar[tuple[str, ...]] = ("poiseuille", "coarse")

    def __post_init__(self) -> None:
        if not (self.reynolds >= 0 and math.isfinite(self.reynolds)):
            raise ProblemError(f"pipe reynolds {self.reynolds}: a number of at least 0 (creeping flow) is expected.")
        if self.resolution < 17 or self.resolution % 8 != 1:
            below = max(17, self.resolution // 8 * 8 + 1)
            raise ProblemError(
                f"pipe resolution {self.resolution}: 8k + 1 nodes per axis and at least 17 are expected, for example "
                f"{below} or {below + 8}."
            )
        _ = self.centre_lines

    @property
    def centre_lines(self) -> CentreLines:
        """The law of the shapes."""
        return CentreLines(self.length, self.bend, self.modes)

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """Coordinates x, y of the nodes, in widths."""
        return (FieldSpec("coordinates", 2, Grid(self._shape, "vertex", ("unknown", "unknown"))),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The horizontal velocity, in units of the inflow's peak."""
        return (FieldSpec("velocity", 1, Grid(self._shape, "vertex", ("unknown", "dirichlet"))),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same channels, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Grids, float64, shape ``(count, 2, n, n)``."""
        return Batch({"coordinates": self.centre_lines.sample(count, self.resolution, generator)})

    def solve(self, inputs: Batch) -> Batch:
        """The horizontal velocity by sparse LU in float64, given back in the dtype of the inputs.

        Raises
        ------
        ProblemError
            A cell is inverted, or Newton's method does not converge (with the sample's number).
        """
        x = inputs["coordinates"]
        parts = [self.flow(part).velocity[:, :1] for part in x.split(SAMPLES_AT_ONCE) if len(part)]
        return Batch({"velocity": torch.cat(parts).to(x.dtype) if parts else x[:, :1]})

    def flow(self, coordinates: Tensor) -> Flow:
        """Both velocities and the pressure of grids ``(count, 2, n, n)`` of any odd n, in float64."""
        x = coordinates.to(torch.float64)
        if x.ndim != 4 or x.shape[1] != 2 or x.shape[2] != x.shape[3] or x.shape[3] % 2 == 0:
            raise ProblemError(f"pipe coordinates {tuple(x.shape)}: expected (samples, 2, n, n) with an odd n.")
        inflow = inflow_velocity(x)
        if self.reynolds == 0:
            return stokes_flow(x, inflow)
        return navier_stokes_flow(x, inflow, 1 / self.reynolds)

    @torch.no_grad()
    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """A cheap velocity: ``poiseuille`` (parabolas that follow the grid) or ``coarse``.

        The latter is one linear solve on every fourth node: the Stokes flow, or the Navier–Stokes equations linearised
        at the former. No derivatives pass through it.
        """
        x = inputs["coordinates"]
        match kind:
            case "poiseuille":
                return Batch({"velocity": parallel_flow(x)[:, :1]})
            case "coarse":
                (spec,) = self.outputs
                assert isinstance(spec.support, Grid)
                nodes = inject(x, COARSENING, "vertex").to(torch.float64)
                coarse = self._linear_flow(nodes).velocity[:, :1]
                source = dataclasses.replace(spec.support, shape=tuple(nodes.shape[2:]))
                target = dataclasses.replace(spec.support, shape=tuple(x.shape[2:]))
                return Batch({"velocity": interpolate(coarse.to(x.dtype), source, target)})
        raise ProblemError(f"first guess {kind!r} is unknown: use one of {', '.join(self.guesses)}.")

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """Not possible with one component: raises `ProblemError`."""
        raise ProblemError(
            "pipe: the equations need both velocities and the pressure, and the output is the horizontal velocity "
            "alone: there is no residual. Pipe.flow gives all of them."
        )

    def _linear_flow(self, x: Tensor) -> Flow:
        inflow = inflow_velocity(x)
        if self.reynolds == 0:
            return stokes_flow(x, inflow)
        return linearised_flow(x, inflow, 1 / self.reynolds)

    @property
    def _shape(self) -> tuple[int, int]:
        return (self.resolution, self.resolution)
