"""The time loop: carry, push, rub, and project the velocity, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.clocks import Clock, speed
from pde_benchmarks.smoke.flow import Flow
from pde_benchmarks.smoke.friction import FaceLaplacian, face_laplacians
from pde_benchmarks.smoke.projection import Projection, ProjectionReport
from pde_benchmarks.smoke.state import FlowState
from pde_benchmarks.smoke.tracing import Motion

__all__ = ["Simulation", "StepReport"]


@dataclass(frozen=True)
class StepReport:
    """One step.

    Attributes
    ----------
    dt
        Its length.
    courant
        dt max|u| / h at its start.
    projection
        What the pressure solver did.
    seconds
        Wall-clock time of its parts: "smoke", "velocity", "walls", "pressure set-up" and "pressure".
    mass
        Sum of the density over the cells afterwards, ``(batch)``: the schemes do not conserve it.
    """

    dt: float
    courant: float
    projection: ProjectionReport
    seconds: dict[str, float]
    mass: Tensor


class Simulation:
    """A flow on its way.

    Parameters
    ----------
    flow
        The equations.
    state
        Where it starts; `state` is where it is.
    projection
        The pressure solver; None: that of `Projection`.

    Raises
    ------
    ProblemError
        The state does not fit the grid or is not finite.

    Examples
    --------
    >>> from pde_benchmarks.smoke import CourantSteps, plume
    >>> simulation = Simulation(*plume(16))
    >>> reports = list(simulation.run(3, CourantSteps(0.02)))
    >>> simulation.state.steps, bool(simulation.state.velocity[1].max() > 0)
    (3, True)
    """

    def __init__(self, flow: Flow, state: FlowState, projection: Projection | None = None) -> None:
        state.require(flow.domain.grid)
        self.flow, self.state, self.projection = flow, state, projection or Projection()
        self.walls = flow.domain.walls(state.time, state.velocity[0].dtype)
        self.pressure: Tensor | None = None
        self._laplacians: list[FaceLaplacian] | None = None

    def run(self, steps: int, clock: Clock) -> Iterator[StepReport]:
        """Take steps, and yield after each."""
        for _ in range(steps):
            yield self.step(clock.next_step(self.flow, self.state, self.walls))

    def resume(self, state: FlowState, past: list[Tensor], pressure: Tensor | None = None) -> None:
        """Go on from a state that an earlier simulation of the same flow has reached.

        Parameters
        ----------
        state
            Its `state`.
        past
            Its ``projection.past.tensors()``: with them the same steps follow, bit by bit.
        pressure
            Its `pressure`.

        Raises
        ------
        ProblemError
            The state does not fit the grid or is not finite.
        """
        state.require(self.flow.domain.grid)
        self.state, self.pressure = state, pressure
        self.walls, self._laplacians = self.flow.domain.walls(state.time, state.velocity[0].dtype), None
        self.projection.past.restore(past)

    @torch.no_grad()
    def step(self, dt: float) -> StepReport:
        """One step of length `dt`.

        Raises
        ------
        ProblemError
            dt is beyond the Courant limit of the schemes (unless `Flow.allow_large_cfl`) or the limit of explicit
            friction, a body moves by more than a cell, or the walls push more fluid in than out.
        SolveError
            The pressure was not found.
        """
        courant = self._courant(dt)
        seconds, began = {}, perf_counter()
        motion = Motion(self.walls, self.walls.impose(self.state.velocity))
        carried = self._smoke(motion, dt)
        seconds["smoke"], began = perf_counter() - began, perf_counter()
        advanced = self.flow.momentum.advance(carried, motion, self._frictions(), self.flow.forces, dt)
        seconds["velocity"], began = perf_counter() - began, perf_counter()
        moved = replace(carried, velocity=advanced.velocity, time=self.state.time + dt)
        moved = self._behind_new_walls(moved)
        velocity = self.walls.impose(moved.velocity)
        seconds["walls"], began = perf_counter() - began, perf_counter()
        projected = self.projection.project(velocity, self.walls)
        seconds["pressure set-up"] = projected.report.setup_seconds
        seconds["pressure"] = perf_counter() - began - projected.report.setup_seconds
        self.pressure = projected.pressure
        self.state = replace(
            moved,
            velocity=projected.velocity,
            steps=self.state.steps + 1,
            tendency=advanced.tendency,
            last_step=dt,
        )
        self._require_finite()
        return StepReport(dt, courant, projected.report, seconds, self.state.mass)

    def _courant(self, dt: float) -> float:
        """Dt max|u| / h, after checking it."""
        h = self.flow.domain.grid.spacing
        courant, limit = dt * speed(self.state, self.walls) / h, self.flow.courant_limit(self.state)
        if courant > limit * (1 + 1e-9) and not self.flow.allow_large_cfl:
            raise ProblemError(
                f"step {self.state.steps + 1}: dt = {dt:.3g} moves the flow by {courant:.2g} cells, and the schemes "
                f"are meant for {limit:g}: take dt ≤ {limit * dt / courant:.2g} (CourantSteps), or allow "
                "it (allow_large_cfl=True)."
            )
        if self.flow.domain.moves:
            fastest = max(float(u.abs().max()) for u in self.walls.velocity)
            if fastest * dt > h * (1 + 1e-9):
                raise ProblemError(
                    f"step {self.state.steps + 1}: a solid moves by {fastest * dt / h:.2g} cells in dt = {dt:.3g}, and "
                    f"may by one: take dt ≤ {h / fastest:.2g}."
                )
        return courant

    def _smoke(self, motion: Motion, dt: float) -> FlowState:
        """Density and temperature carried along, zero in solids, and fed by the source."""
        given = {"density": self.state.density, "temperature": self.state.temperature}
        present = {name: values for name, values in given.items() if values is not None}
        carried = self.flow.carrier.carry(list(present.values()), None, motion, dt) if present else []
        fields = dict(zip(present, (values.masked_fill(self.walls.solid, 0) for values in carried), strict=True))
        density, temperature = fields.get("density"), fields.get("temperature")
        state = replace(self.state, velocity=motion.velocity, density=density, temperature=temperature)
        if self.flow.source is None:
            return state
        density, temperature = self.flow.source.feed(state, self.flow.domain)
        return replace(state, density=density, temperature=temperature)

    def _frictions(self) -> list[FaceLaplacian]:
        if self._laplacians is None:
            self._laplacians = face_laplacians(self.walls)
        return self._laplacians

    def _behind_new_walls(self, state: FlowState) -> FlowState:
        """The state among the walls of its time: what a solid has left takes the mean of its neighbours."""
        if not self.flow.domain.moves:
            return state
        old = self.walls
        self.walls = self.flow.domain.walls(state.time, state.velocity[0].dtype)
        self._laplacians = None
        solid = self.walls.solid
        density, temperature = (
            None if values is None else old.filled(values, None).masked_fill(solid, 0)
            for values in (state.density, state.temperature)
        )
        velocity = tuple(old.filled(u, a) for a, u in enumerate(state.velocity))
        return replace(state, velocity=velocity, density=density, temperature=temperature)

    def _require_finite(self) -> None:
        if not all(bool(u.isfinite().all()) for u in self.state.velocity):
            raise ProblemError(
                f"step {self.state.steps}: the velocity is no longer finite: take smaller steps, or more friction."
            )
