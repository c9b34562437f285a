"""Burgers' equation between two walls, as one field of space and time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor

from pde_benchmarks.discretised import DiscretisedProblem
from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid import Grid
from pde_benchmarks.interval.burgers import WalledBurgers
from pde_benchmarks.interval.burgers_rows import BurgersRows
from pde_benchmarks.interval.evolving import require_evolution
from pde_benchmarks.problem import Batch, FieldSpec, Problem
from pde_benchmarks.sine_series import sine_coefficients, sine_values
from pde_benchmarks.termwise import TermwiseProblem

__all__ = ["BurgersField"]


@dataclass(frozen=True)
class BurgersField(Problem, TermwiseProblem, DiscretisedProblem):
    """u_t + u u_x / 2 = ν u_xx / 4 for 0 < x < 1, u = 0 at both ends; the map u(·, 0) ↦ u on [0, T] × [0, 1].

    The flows, their law and their reference solution are those of `WalledBurgers`; the output is one field on
    ``frames`` × n points, the initial instant included, and the input is u(·, 0) repeated at every instant, so that
    learners of fields on one grid can read it.

    Parameters
    ----------
    viscosity, amplitude, step
        As for `WalledBurgers`.
    resolution
        Nodes x_i = i/(n − 1), walls included.
    frames
        Number of instants m T / (frames − 1), m = 0, 1, …
    duration
        T.

    Raises
    ------
    ProblemError
        If a parameter is out of range.

    Examples
    --------
    >>> problem = BurgersField(resolution=33, frames=11)
    >>> start = problem.sample(2, torch.Generator().manual_seed(0))
    >>> problem.solve(start)["solution"].shape
    torch.Size([2, 1, 11, 33])
    """

    viscosity: float = 0.1 / math.pi
    amplitude: float = 1.0
    resolution: int = 65
    frames: int = 41
    duration: float = 1.0
    step: float = 5e-3
    name: ClassVar[str] = "burgers-space-time"
    usual_samples: ClassVar[tuple[int, int]] = (512, 64)

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("viscosity", "amplitude", "duration", "step")}
        require_evolution(self.name, self.resolution, self.frames, **positive)
        if self.frames < 2:
            raise ProblemError(
                f"{self.name} frames {self.frames}: at least 2, the initial instant included, are needed."
            )

    @property
    def flow(self) -> WalledBurgers:
        """The evolution behind the field, from frame to frame."""
        return WalledBurgers(
            viscosity=self.viscosity,
            amplitude=self.amplitude,
            resolution=self.resolution,
            frames=self.frames - 1,
            interval=self.duration / (self.frames - 1),
            step=self.step,
        )

    @property
    def grid(self) -> Grid:
        """Instants and nodes; the axis of time has no boundary condition of its own."""
        return Grid((self.frames, self.resolution), "vertex", ("unknown", "dirichlet"))

    @property
    def inputs(self) -> tuple[FieldSpec, ...]:
        """The initial velocity, the same at every instant."""
        return (FieldSpec("initial_solution", 1, self.grid),)

    @property
    def outputs(self) -> tuple[FieldSpec, ...]:
        """The velocity."""
        return (FieldSpec("solution", 1, self.grid),)

    def at_resolution(self, resolution: int) -> Self:
        """The same law, hence for one seed the same initial functions, on another grid."""
        return dataclasses.replace(self, resolution=resolution)

    def sample(self, count: int, generator: Generator) -> Batch:
        """Initial velocities at every instant, float64, shape ``(count, 1, frames, n)``."""
        return self.held(self.flow.sample(count, generator)["initial_solution"][:, 0])

    def held(self, initial: Tensor) -> Batch:
        """Initial velocities ``(count, n)`` as inputs: the same at every instant."""
        return Batch({"initial_solution": initial[:, None, None].repeat(1, 1, self.frames, 1)})

    def check(self, inputs: Batch, where: str = "") -> None:
        """Refuse initial velocities that change in time, or do not vanish at the walls."""
        field = inputs["initial_solution"]
        moving = (field != field[:, :, :1]).flatten(1).any(1).nonzero().flatten().tolist()
        if moving:
            raise ProblemError(
                f"{where or self.name}: initial_solution of sample {moving[0]} changes in time: it is the velocity at "
                "the first instant, repeated at every one."
            )
        self.flow.check(Batch({"initial_solution": field[:, :, 0]}), where or self.name)

    def solve(self, inputs: Batch) -> Batch:
        """Reference fields ``(count, 1, frames, n)``; the first frame is the input. Raises as `WalledBurgers`."""
        start = inputs["initial_solution"][:, :, 0]
        later = self.flow.solve(Batch({"initial_solution": start}))["solution"]
        return Batch({"solution": torch.cat([start[:, :, None], later.transpose(1, 2)], 2)})

    def discrete_solution(self, inputs: Batch) -> Batch:
        """That of implicit midpoint steps from frame to frame."""
        field = inputs["initial_solution"]
        return Batch({"solution": self.termwise(inputs.to(dtype=torch.float64)).solution()[:, None].to(field.dtype)})

    def residual(self, inputs: Batch, outputs: Batch) -> Batch:
        """The rows of `termwise`, dimensionless; differentiable in both."""
        return Batch({"solution": self.termwise(inputs).rows(outputs["solution"][:, 0])[:, None]})

    def correction(self, inputs: Batch, outputs: Batch) -> Batch:
        """A step of Newton's method: what is missing from the outputs, to first order."""
        return Batch({"solution": self.termwise(inputs).correction(outputs["solution"][:, 0])[:, None]})

    def termwise(self, inputs: Batch) -> BurgersRows:
        """Implicit midpoint rule in time, conservative differences in space."""
        step = self.duration / (self.frames - 1)
        return BurgersRows(self._start(inputs), self.frames, step, self.viscosity / 4, self.amplitude)

    def offset(self, inputs: Batch) -> Tensor:
        """u(·, 0) after diffusion alone: the right values at the start and at the walls."""
        coefficients = sine_coefficients(self._start(inputs))
        modes = torch.arange(1, coefficients.shape[-1] + 1, dtype=coefficients.dtype, device=coefficients.device)
        rates = self.viscosity / 4 * (math.pi * modes).square() * self.duration
        decayed = coefficients[:, None] * torch.exp(-self._time(inputs) * rates)
        return sine_values(decayed, inputs["initial_solution"].shape[-1])

    def envelope(self, inputs: Batch) -> Tensor:
        """t/T sin πx."""
        x = self._nodes(inputs)
        # The smaller of the two arguments is exactly zero at either wall.
        return (self._time(inputs) * torch.sin(math.pi * torch.minimum(x, 1 - x))).expand(self._held(inputs).shape)

    def closed_forms(self, inputs: Batch) -> dict[str, Tensor]:
        """1, x, u(·, 0), and how convection begins to change it alone (−u u_x/2) and once more (t of it)."""
        held, x = self._held(inputs), self._nodes(inputs)
        convected = -torch.gradient(held.square() / 4, spacing=1 / (held.shape[-1] - 1), dim=-1)[0] * self.duration
        forms = {"one": torch.ones_like(held), "x": x, "start": held}
        forms |= {"convected": convected, "convected_t": convected * self._time(inputs)}
        return {name: form.expand(held.shape) for name, form in forms.items()}

    def coordinates(self, inputs: Batch) -> Tensor:
        """t/T, x, u(·, 0) and u(·, 0) after diffusion, about one each."""
        held = self._held(inputs)
        fields = (self._time(inputs), self._nodes(inputs), held / self.amplitude, self.offset(inputs) / self.amplitude)
        return torch.stack([field.expand(held.shape) for field in fields], 1)

    def _start(self, inputs: Batch) -> Tensor:
        return inputs["initial_solution"][:, 0, 0]

    def _held(self, inputs: Batch) -> Tensor:
        return inputs["initial_solution"][:, 0]

    def _time(self, inputs: Batch) -> Tensor:
        """t/T, ``(1, frames, 1)``."""
        return self.grid.points(0).to(inputs["initial_solution"])[None, :, None]

    def _nodes(self, inputs: Batch) -> Tensor:
        """x, ``(1, 1, n)``."""
        return self.grid.points(1).to(inputs["initial_solution"])[None, None]
