"""Solvers without learning, from cheap to dear, for every problem of the operator benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import cast

from pde_benchmarks import Burgers, Darcy, Helmholtz, NavierStokes, Pipe, UpscaledDarcy
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.grid_transfer import interpolate, mean_of_blocks
from pde_benchmarks.navier_stokes import resample
from pde_benchmarks.problem import Batch, Problem

__all__ = ["Solve", "classical_solvers"]

Solve = Callable[[Batch], Batch]

CYCLES = 12
KRYLOV_STEPS = (1, 2, 3, 4, 5, 6, 8, 12, 16)


def classical_solvers(problem: Problem) -> dict[str, Solve]:
    """Ways to solve the problem without learning, by name."""
    if isinstance(problem, EllipticProblem):
        return {
            f"full multigrid and {k} V-cycles": partial(problem.full_multigrid, extra_cycles=k) for k in range(CYCLES)
        }
    by_type = {
        Helmholtz: _helmholtz,
        NavierStokes: _navier_stokes,
        Burgers: _burgers,
        Pipe: _pipe,
        UpscaledDarcy: _upscaled,
    }
    return by_type[type(problem)](problem)  # type: ignore[operator,index]


def _helmholtz(problem: Helmholtz) -> dict[str, Solve]:
    solvers: dict[str, Solve] = {"constant wave speed": partial(problem.first_guess, kind="born")}
    for steps in KRYLOV_STEPS:
        other = dataclasses.replace(problem, krylov_steps=steps)
        solvers[f"{steps} GMRES steps"] = partial(other.first_guess, kind="krylov")
    return {**solvers, "sparse LU": problem.solve}


def _navier_stokes(problem: NavierStokes) -> dict[str, Solve]:
    """Spectral solvers on coarser and on the same grids, with fewer and more steps."""
    solvers: dict[str, Solve] = {}
    for points in (problem.resolution // 4, problem.resolution // 2, problem.resolution):
        solvers[f"spectral, large steps, {points}²"] = partial(_coarser_flow, problem, points)
    for per_unit in (12, 16, 24, 48):
        other = dataclasses.replace(problem, refinement=1, step=1 / per_unit)
        solvers[f"spectral, {per_unit} steps a frame, {problem.resolution}²"] = other.solve
    return solvers


def _coarser_flow(problem: NavierStokes, points: int, inputs: Batch) -> Batch:
    coarse = dataclasses.replace(problem, resolution=points)
    start = resample(inputs["initial_vorticity"][:, 0], points)[:, None]
    flow = coarse.first_guess(Batch({"initial_vorticity": start}), "large_steps")["vorticity"]
    return Batch({"vorticity": resample(flow[:, :, 0], problem.resolution)[:, :, None]})


def _burgers(problem: Burgers) -> dict[str, Solve]:
    solvers: dict[str, Solve] = {}
    for ratio in (1, 2, 4):
        solvers[f"finite volumes, {ratio * problem.resolution} points"] = partial(_finer_burgers, problem, ratio)
    for nodes in (256, 512, 1024):
        other = dataclasses.replace(problem, nodes=nodes)
        solvers[f"Cole-Hopf formula, {nodes} nodes"] = other.solve
    return solvers


def _finer_burgers(problem: Burgers, ratio: int, inputs: Batch) -> Batch:
    fine = problem.at_resolution(ratio * problem.resolution)
    start = interpolate(inputs["initial"], problem.grid, fine.grid)
    answer = fine.first_guess(Batch({"initial": start}), "upwind")["solution"]
    return Batch({"solution": answer[..., ::ratio]})


def _pipe(problem: Pipe) -> dict[str, Solve]:
    solvers: dict[str, Solve] = {kind: partial(problem.first_guess, kind=kind) for kind in problem.guesses}
    return {**solvers, "finite elements, sparse LU": problem.solve}


def _upscaled(problem: UpscaledDarcy) -> dict[str, Solve]:
    """With block means as the learner sees them, and with the fine coefficient on grids in between."""
    solvers: dict[str, Solve] = {}
    for cycles in (0, 1, 2, 4):
        solvers[f"geometric means, multigrid and {cycles} V-cycles"] = partial(_on_means, problem, cycles)
    ratio = problem.refinement
    while ratio > 1:
        ratio //= 2
        points = problem.resolution * problem.refinement // ratio
        for cycles in (0, 1, 2, 4):
            name = f"fine coefficient on {points}², multigrid and {cycles} V-cycles"
            solvers[name] = partial(_on_finer_means, problem, ratio, cycles)
    return solvers


def _on_means(problem: UpscaledDarcy, cycles: int, inputs: Batch) -> Batch:
    return problem.coarse.full_multigrid(Batch({"coefficient": inputs["coefficient"][:, :1]}), cycles)


def _on_finer_means(problem: UpscaledDarcy, ratio: int, cycles: int, inputs: Batch) -> Batch:
    a = inputs["fine_coefficient"]
    a = mean_of_blocks(a, ratio, geometric=True) if ratio > 1 else a
    solver = cast(Darcy, problem.fine.at_resolution(a.shape[-1]))
    u = solver.full_multigrid(Batch({"coefficient": a}), cycles)["solution"]
    return Batch({"solution": mean_of_blocks(u, a.shape[-1] // problem.resolution)})
