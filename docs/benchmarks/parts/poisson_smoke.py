"""Two hundred steps of smoke round a ball: what the pressure takes of them, solver by solver; a cavity; vortices."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from parts.poisson_learned import NUMBERS, learned
from parts.record import at_least, at_most
from parts.training_script import Session
from pde_benchmarks.smoke import (
    PRESSURE_METHODS,
    CourantSteps,
    PressureMethod,
    Projection,
    Simulation,
    cavity,
    cavity_errors,
    default_obstacle,
    plume,
    taylor_green,
    taylor_green_velocity,
)
from solvers import CG, HAND_TUNED, AggregationMultigrid, Solver

__all__ = ["cavities", "smoke"]

RTOL, TIGHT = 1e-6, 1e-10
#: Cells an axis of a cavity, and the time at which its flow is steady.
CAVITIES = {100: (48, 20.0), 400: (96, 40.0), 1000: (128, 80.0)}


def smoke(session: Session) -> None:
    """The same scene with every solver; then, smaller, against a direct solver step by step."""
    torch.set_num_threads(1)
    resolution, steps = (16, 5) if session.scale.small else (48, 200)
    cycle = AggregationMultigrid(coefficients=learned(session, NUMBERS)[0].module)
    methods = {
        "incomplete Cholesky, CG": PRESSURE_METHODS["ic-cg"](RTOL, 3),
        "multigrid-CG, weighted interpolation": PRESSURE_METHODS["mgcg-weighted"](RTOL, 3),
        "multigrid-CG, textbook": PressureMethod(CG(RTOL), AggregationMultigrid()),
        "multigrid-CG, tuned by hand": PressureMethod(CG(RTOL), AggregationMultigrid(HAND_TUNED)),
        "learned cycle, numbers per level": PressureMethod(CG(RTOL), cycle),
    }
    rows, worst = [], 0.0
    for name, method in methods.items():
        simulation = _plume(resolution, method)
        began, pressure, iterations = time.perf_counter(), 0.0, 0.0
        for report in simulation.run(steps, CourantSteps(0.02)):
            pressure += report.seconds["pressure"] + report.seconds["pressure set-up"]
            iterations += float(report.projection.iterations.double().mean())
            limit = RTOL * report.projection.rhs_norm
            worst = max(worst, float((report.projection.outflow / limit).max()))
        total = time.perf_counter() - began
        rows.append([name, iterations / steps, total, pressure, 100 * pressure / total])
    columns = ["pressure solver", "iterations a step", "total, s", "pressure, s", "share %"]
    caption = (
        f"{steps} steps of a plume round a ball, {resolution}³ cells, float64, MacCormack, relative residual {RTOL:g}, "
        "start values from the last six solutions for every solver, one thread."
    )
    session.record.table("smoke", columns, rows, caption)
    session.record.figure(
        f"smoke_{steps}_steps.max_divergence_over_tolerance",
        worst,
        bar=at_most(1),
        unit="1",
        note=f"largest h |div u| over rtol ‖b‖₂, over all steps and solvers, {resolution}³",
    )
    apart = _apart(16 if session.scale.small else 32, min(steps, 50), cycle)
    session.record.figure("smoke.velocity_apart_from_direct_solver", apart, unit="1", note=f"rtol {TIGHT:g}, relative")


def cavities(session: Session) -> None:
    """The largest differences from Ghia, Ghia & Shin (1982), and the order at Taylor-Green's vortices."""
    torch.set_num_threads(1)
    rows = []
    for reynolds, (n, until) in {100: (16, 1.0)}.items() if session.scale.small else CAVITIES.items():
        simulation = Simulation(*cavity(n, reynolds))
        while simulation.state.time < until:
            for _ in simulation.run(1, CourantSteps(0.1, 0.5)):
                pass
        found = cavity_errors(simulation.state, reynolds)
        rows.append([reynolds, f"{n}²", until, found.u, found.v])
        session.record.figure(f"cavity.re{reynolds}.largest_difference_u", found.u, unit="1")
        session.record.figure(f"cavity.re{reynolds}.largest_difference_v", found.v, unit="1")
    columns = ["Re", "grid", "time", "u", "v"]
    session.record.table("cavities", columns, rows, "Largest differences on the two lines through the centre.")
    coarse, fine = (_vortex_error(n) for n in ((8, 16) if session.scale.small else (32, 64)))
    session.record.figure("taylor_green.order", math.log2(coarse / fine), unit="1", bar=at_least(1.9))


def _plume(resolution: int, method: PressureMethod) -> Simulation:
    solver: Solver = method.solver
    return Simulation(*plume(resolution, 3, bodies=(default_obstacle(3),)), Projection(solver, method.preconditioner))


def _apart(resolution: int, steps: int, cycle: Any) -> float:
    """The largest relative difference in velocity between the learned cycle and a direct solver after equal steps."""
    direct, ours = (
        _plume(resolution, method)
        for method in (PRESSURE_METHODS["direct"](TIGHT, 3), PressureMethod(CG(TIGHT), cycle))
    )
    apart = 0.0
    for report in direct.run(steps, CourantSteps(0.02)):
        ours.step(report.dt)
        both = zip(ours.state.velocity, direct.state.velocity, strict=True)
        speed = max(float(u.abs().max()) for u in direct.state.velocity)
        apart = max(apart, max(float((u - v).abs().max()) for u, v in both) / max(speed, 1e-12))
    return apart


def _vortex_error(n: int) -> float:
    """Relative error of the velocity at time 1, with steps proportional to the cells."""
    viscosity, steps = 0.05, 2 * n
    simulation = Simulation(*taylor_green(n, viscosity), Projection(CG(TIGHT), AggregationMultigrid()))
    for _ in range(steps):
        simulation.step(1 / steps)
    exact = taylor_green_velocity(simulation.flow.domain.grid, viscosity, 1.0)
    error = sum(float((u - v).square().sum()) for u, v in zip(simulation.state.velocity, exact, strict=True))
    return math.sqrt(error / sum(float(v.square().sum()) for v in exact))
