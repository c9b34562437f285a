"""How long the next step is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Protocol

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.flow import Flow
from pde_benchmarks.smoke.state import FlowState
from pde_benchmarks.smoke.walls import Walls

__all__ = ["Clock", "CourantSteps", "EqualSteps", "speed"]


class Clock(Protocol):
    """Chooses dt."""

    def next_step(self, flow: Flow, state: FlowState, walls: Walls) -> float:
        """The length of the step that starts from `state`."""


@dataclass(frozen=True)
class EqualSteps:
    """Always the same dt; a step beyond a stability limit is an error of the step."""

    dt: float

    def __post_init__(self) -> None:
        _require_positive("dt", self.dt)

    def next_step(self, flow: Flow, state: FlowState, walls: Walls) -> float:
        return self.dt


@dataclass(frozen=True)
class CourantSteps:
    """dt = min(c h / max|u|, √(h / max|force|), what friction allows, `largest`), c a fraction of the schemes' limit.

    Parameters
    ----------
    largest
        Upper bound of dt.
    fraction
        Of the Courant limit, in (0, 1].
    """

    largest: float
    fraction: float = 0.9

    def __post_init__(self) -> None:
        _require_positive("largest", self.largest)
        if not 0 < self.fraction <= 1:
            raise ProblemError(f"fraction {self.fraction}: a part of the Courant limit in (0, 1] is expected.")

    def next_step(self, flow: Flow, state: FlowState, walls: Walls) -> float:
        h, fastest = flow.domain.grid.spacing, speed(state, walls)
        dt = min(self.largest, flow.momentum.largest_step(flow.domain.grid))
        if fastest > 0:
            dt = min(dt, self.fraction * flow.courant_limit(state) * h / fastest)
        pushes = [f for force in flow.forces for f in force.acceleration(state, walls).values()]
        strongest = max((float(f.abs().max()) for f in pushes), default=0.0)
        return min(dt, (h / strongest) ** 0.5 if strongest > 0 else inf)


def speed(state: FlowState, walls: Walls) -> float:
    """max|u| over all components and samples, of the fluid and of its walls."""
    return max(float(u.abs().max()) for u in (*state.velocity, *walls.velocity))


def _require_positive(name: str, value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise ProblemError(f"{name} = {value}: a positive time is expected.")
