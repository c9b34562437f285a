"""Two-dimensional flow that decays freely, as one field of space and time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.conservation import Conserved, ConservingProblem
from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.navier_stokes.fourier import resample, velocity
from pde_benchmarks.navier_stokes.initial_motion import after_diffusion, carried_by_initial_flow, initial_rates
from pde_benchmarks.navier_stokes.midpoint import VorticityRows
from pde_benchmarks.navier_stokes.problem import NavierStokes
from pde_benchmarks.problem import Batch, FieldSpec, Problem
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.termwise import TermwiseProblem
from solvers import CSROperator

__all__ = ["DecayingFlow"]

WAVES = 15
RATES = 3


@dataclass(frozen=True)
class DecayingFlow(Problem, TermwiseProblem, ConservingProblem, DiscretisedProblem):
    """∂w/∂t + u·∇w = (1/Re) Δw on the periodic unit square, u = (∂ψ/∂y, −∂ψ/∂x), −Δψ = w; the map w(0) ↦ w on [0, T].

    The output is one field on ``frames`` × n × n points, the initial instant included; the input is w(0) on the same
    grid, repeated at every instant, so that learners of fields on one grid can read it. w(0) is Gaussian with a
    covariance proportional to (−Δ + 49)^(−`smoothness`), its waves |k_x|, |k_y| ≤ 15. The reference solution is that of
    `NavierStokes` without forcing.

    Parameters
    ----------
    reynolds
        Re = 1/ν.
    vorticity
        Root mean square of w(0); the default gives velocities of about 1.
    smoothness
        The waves of w(0) fall off as |k|^(−smoothness).
    resolution
        Points x_i = i/n per axis, even.
    frames
        Number of instants m T / (frames − 1), m = 0, 1, …
    duration
        T.
    refinement, step
        Of the reference: points per axis over ``resolution``, and its longest time step.
    carried_points
        Of the error norm: points per axis of the grid whose waves are moved with the flow. Fewer are cheaper (16 of 32
        by ten times); shorter waves are estimated from their rows alone.

    Raises
    ------
    ProblemError
        If a parameter has no meaning.

    Examples
    --------
    >>> problem = DecayingFlow(resolution=16, frames=4, duration=0.1)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> flow = problem.solve(start)
    >>> flow["vorticity"].shape
    torch.Size([2, 1, 4, 16, 16])
    >>> bool(problem.termwise(start).rows(flow["vorticity"][:, 0])[:, 0].abs().max() < 1e-12)
    True
    """

    reynolds: float = 1e3
    vorticity: float = 6.5
    smoothness: float = 4.5
    resolution: int = 32
    frames: int = 16
    duration: float = 0.5
    refinement: int = 2
    step: float = 2.5e-3
    carried_points: int = 16
    name: ClassVar[str] = "navier-stokes-decay"
    usual_samples: ClassVar[tuple[int, int]] = (256, 32)

    def __post_init__(self) -> None:
        for name in ("reynolds", "vorticity", "smoothness", "duration", "step"):
            if not 0 < getattr(self, name) < math.inf:
                raise ProblemError(f"{self.name} {name} {getattr(self, name)}: a positive number is needed.")
        if self.resolution < 8 or self.resolution % 2:
            raise ProblemError(f"{self.name} resolution {self.resolution}: an even number, at least 8, is needed.")
        for name, least in (("frames", 2), ("refinement", 1), ("carried_points", 4)):
            if getattr(self, name) < least:
                raise ProblemError(f"{self.name} {name} {getattr(self, name)}: at least {least} is needed.")

    @property
    def interval(self) -> float:
        """Time between two frames."""
        return self.duration / (self.frames - 1)

    @property
    def grid(self) -> Grid:
        """Instants and points; the axis of time has no boundary condition of its own."""
        return Grid((self.frames, self.resolution, self.resolution), "left", ("unknown", "periodic", "periodic"))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial vorticity, the same at every instant."""
        return (FieldSpec("initial_vorticity", 1, self.grid),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The vorticity."""
        return (FieldSpec("vorticity", 1, self.grid),)

    @property
    def flow(self) -> NavierStokes:
        """The evolution behind the field, from frame to frame."""
        return NavierStokes(
            viscosity=1 / self.reynolds,
            forcing=0.0,
            resolution=self.resolution,
            refinement=self.refinement,
            step=self.step,
            interval=self.interval,
            frames=self.frames - 1,
        )

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial flows (cut to the waves resolved), on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial vorticity at every instant, float64, shape ``(count, 1, frames, n, n)``."""
        law = GaussianField(self.smoothness, 7.0, "periodic", modes=2 * WAVES + 1)
        resolving = Grid((2 * WAVES + 2, 2 * WAVES + 2), "left", ("periodic", "periodic"))
        flows = self.vorticity / law.amplitudes(2).norm() * law.sample(count, resolving, generator)
        return self.held(resample(flows, self.resolution))

    def held(self, initial: Tensor) -> Batch:
        """Initial vorticities ``(count, n, n)`` as inputs: the same at every instant."""
        return Batch({"initial_vorticity": initial[:, None, None].repeat(1, 1, self.frames, 1, 1)})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse initial vorticities that change from instant to instant."""
        field = inputs["initial_vorticity"]
        moving = (field != field[:, :, :1]).flatten(1).any(1).nonzero().flatten().tolist()
        if moving:
            raise ProblemError(
                f"{where or self.name}: initial_vorticity of sample {moving[0]} changes in time: it is the field at "
                "the first instant, repeated at every one."
            )

    def solve(self, inputs: Batch) -> Batch:
        """Reference fields ``(count, 1, frames, n, n)``, computed in float64; the first frame is the input."""
        start = inputs["initial_vorticity"][:, :, 0]
        later = self.flow.solve(Batch({"initial_vorticity": start}))["vorticity"]
        return Batch({"vorticity": torch.cat([start[:, :, None], later.transpose(1, 2)], 2)})

    def discrete_solution(self, inputs: Batch) -> Batch:
        """That of implicit midpoint steps from frame to frame; raises as `VorticityRows.solution` does."""
        field = inputs["initial_vorticity"]
        return Batch({"vorticity": self.termwise(inputs.to(dtype=torch.float64)).solution()[:, None].to(field.dtype)})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """The rows of `termwise`, dimensionless; differentiable in both."""
        return Batch({"vorticity": self.termwise(inputs).rows(outputs["vorticity"][:, 0])[:, None]})

    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """What is missing from the outputs, to first order: the equation linearised about them, carried in time.

        With all waves of the grid, so that corrections of corrections converge to `discrete_solution`; `termwise`
        follows those of `carried_points` alone.
        """
        rows = self._rows(inputs, self.resolution)
        return Batch({"vorticity": rows.correction(outputs["vorticity"][:, 0])[:, None]})

    def termwise(self, inputs: Batch) -> VorticityRows:
        """Implicit midpoint rule in time, spectral in space."""
        return self._rows(inputs, self.carried_points)

    def conserved(self, inputs: Batch) -> Conserved:
        """The mean vorticity of every instant is that of the first."""
        start = self._start(inputs)
        points = start.shape[1] * start.shape[2]
        size = self.frames * points
        starts = torch.arange(0, size + 1, points, device=start.device)
        columns = torch.arange(size, device=start.device)
        means = CSROperator(starts, columns, start.new_full((size,), 1 / points), (self.frames, size))
        return Conserved(means, start.mean((1, 2))[:, None].expand(-1, self.frames))

    def offset(self, inputs: Batch) -> Tensor:
        """w(0) at every instant."""
        return inputs["initial_vorticity"][:, 0, :1].expand(-1, self.frames, -1, -1)

    def envelope(self, inputs: Batch) -> Tensor:
        """t/T."""
        return self._time(inputs).expand(self.offset(inputs).shape)

    def closed_forms(self, inputs: Batch) -> dict[str, Tensor]:
        """1, w(0), its first three rates at the start, and w(0) carried by the velocity of the start, less w(0).

        The last one, ``carried`` by the inviscid and ``carried_diffused`` by the viscous equation, is divided by the
        envelope, which multiplies it again.
        """
        start, time, shape = self._start(inputs), self._time(inputs), self.offset(inputs).shape
        forms = {"one": torch.ones_like(start)[:, None], "start": start[:, None]}
        for k, rate in enumerate(initial_rates(start, 1 / self.reynolds, RATES), 1):
            forms[f"rate_{k}"] = (self.duration**k * rate)[:, None]
        carried = carried_by_initial_flow(start, self.frames, self.interval)
        forms["carried"] = (carried - start[:, None]) / time.clamp_min(1 / self.frames)
        diffused = after_diffusion(carried, time[:, :, 0, 0] * (self.duration / self.reynolds))
        forms["carried_diffused"] = (diffused - start[:, None]) / time.clamp_min(1 / self.frames)
        return {name: form.expand(shape) for name, form in forms.items()}

    def coordinates(self, inputs: Batch) -> Tensor:
        """t/T, sine and cosine of 2πx and of 2πy, w(0), its velocity and first rate; all about one."""
        start = self._start(inputs)
        rate = initial_rates(start, 1 / self.reynolds, 1)[0] * self.duration
        fields = torch.cat([torch.stack([start, rate], 1) / self.vorticity, velocity(start[:, None])], 1)
        angle = (2 * math.pi * self.grid.points(1)).to(start)
        waves = [*torch.meshgrid(angle.sin(), angle.sin(), indexing="ij")]
        waves += [*torch.meshgrid(angle.cos(), angle.cos(), indexing="ij")]
        space = torch.cat([torch.stack(waves).expand(len(start), -1, -1, -1), fields], 1)[:, :, None]
        time = self._time(inputs)[:, None].expand(len(start), 1, *self.grid.shape)
        return torch.cat([time, space.expand(-1, -1, self.frames, -1, -1)], 1)

    def _rows(self, inputs: Batch, carried_points: int) -> VorticityRows:
        start, viscosity = self._start(inputs), 1 / self.reynolds
        return VorticityRows(start, self.frames, self.interval, viscosity, self.vorticity, carried_points)

    def _start(self, inputs: Batch) -> Tensor:
        return inputs["initial_vorticity"][:, 0, 0]

    def _time(self, inputs: Batch) -> Tensor:
        """t/T, ``(1, frames, 1, 1)``."""
        instants = torch.linspace(0, 1, self.frames, dtype=torch.float64)
        return instants.to(inputs["initial_vorticity"])[None, :, None, None]
