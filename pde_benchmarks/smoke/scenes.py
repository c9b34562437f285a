"""Flows to look at and to check with: a rising plume, a lid-driven cavity, Taylor–Green vortices."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import Side
from pde_benchmarks.smoke.advection import Advection, MacCormack
from pde_benchmarks.smoke.body import Body
from pde_benchmarks.smoke.domain import Domain
from pde_benchmarks.smoke.flow import Flow, Source
from pde_benchmarks.smoke.forces import Buoyancy
from pde_benchmarks.smoke.grid import MacGrid
from pde_benchmarks.smoke.momentum import AdamsBashforth, Momentum, Splitting
from pde_benchmarks.smoke.shapes import Ball
from pde_benchmarks.smoke.state import FlowState, fluid_at_rest

__all__ = ["Scene", "cavity", "default_obstacle", "plume", "taylor_green", "taylor_green_velocity"]


class Scene(NamedTuple):
    """The arguments of `Simulation`."""

    flow: Flow
    state: FlowState


def plume(
    resolution: int,
    dimension: int = 2,
    bodies: Sequence[Body] = (),
    advection: Advection | None = None,
    dtype: torch.dtype = torch.float64,
    allow_large_cfl: bool = False,
) -> Scene:
    """Warm smoke from a ball near the bottom of the unit box, open at the top (y = 1); at rest at first.

    Parameters
    ----------
    resolution
        Cells an axis.
    dimension
        2 or 3.
    bodies
        Obstacles, such as `default_obstacle`.
    advection
        For the velocity and the smoke; None: `MacCormack`.
    dtype
        float32 or float64.
    allow_large_cfl
        As in `Flow`.
    """
    grid, advection = _unit_box(resolution, dimension), advection or MacCormack()
    sides: list[Side | tuple[Side, Side]] = ["solid", ("solid", "open"), "solid"]
    domain = Domain(grid, sides[:dimension], bodies=tuple(bodies))
    source = Source(Ball((0.5, 0.1, 0.5)[:dimension], 0.08))
    flow = Flow(domain, Splitting(advection), (Buoyancy(),), advection, source, allow_large_cfl)
    state = fluid_at_rest(grid, dtype=dtype)
    density, temperature = source.feed(state, domain)
    return Scene(flow, FlowState(state.velocity, density, temperature))


def default_obstacle(dimension: int) -> Body:
    """A ball a little beside the way of the plume."""
    return Body(Ball((0.55, 0.5, 0.45)[:dimension], 0.1))


def cavity(resolution: int, reynolds: float, dtype: torch.dtype = torch.float64) -> Scene:
    """The lid of the unit square slides with u = 1 over a fluid at rest (Ghia, Ghia & Shin 1982).

    Parameters
    ----------
    resolution
        Cells an axis.
    reynolds
        1 / ν.
    dtype
        float32 or float64.
    """
    grid = _unit_box(resolution, 2)
    if not reynolds > 0:
        raise ProblemError(f"Reynolds number {reynolds}: a positive one is expected.")
    domain = Domain(grid, friction="no-slip", side_velocity={(1, 1): (1.0, 0.0)})
    return Scene(Flow(domain, AdamsBashforth(1 / reynolds)), fluid_at_rest(grid, dtype=dtype, carries=False))


def taylor_green(
    resolution: int, viscosity: float, momentum: Momentum | None = None, dtype: torch.dtype = torch.float64
) -> Scene:
    """Four vortices in [0, 2π]², u = sin x cos y e^(−2νt), v = −cos x sin y e^(−2νt) (Taylor & Green 1937).

    The flow is periodic; between free-slip walls it is the same flow, because it is its own mirror image in them.

    Parameters
    ----------
    resolution
        Cells an axis.
    viscosity
        ν.
    momentum
        Scheme; None: `AdamsBashforth`.
    dtype
        float32 or float64.
    """
    grid = MacGrid((resolution, resolution), 2 * pi / resolution)
    flow = Flow(Domain(grid), momentum or AdamsBashforth(viscosity))
    return Scene(flow, FlowState(tuple(u.to(dtype) for u in taylor_green_velocity(grid, viscosity, 0.0))))


def taylor_green_velocity(grid: MacGrid, viscosity: float, time: float) -> tuple[Tensor, ...]:
    """The exact velocity at the face centres, ``(1, *face_shape)`` each, float64."""
    decay = torch.tensor(-2 * viscosity * time, dtype=torch.float64).exp()
    (x, y), (s, t) = (grid.points(a).unbind(-1) for a in (0, 1))
    return ((x.sin() * y.cos() * decay)[None], (-s.cos() * t.sin() * decay)[None])


def _unit_box(resolution: int, dimension: int) -> MacGrid:
    if resolution < 8:
        raise ProblemError(f"resolution {resolution}: at least 8 cells an axis are expected.")
    return MacGrid((resolution,) * dimension, 1 / resolution)
