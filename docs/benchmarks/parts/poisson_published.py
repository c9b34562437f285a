"""The published network on two-dimensional masks, trained on one empty box: its curve from 32² to 128²."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean
from typing import Any

import torch

from parts.contenders import Case, Contender, data_of, trained
from parts.poisson_methods import RTOL, prepared
from parts.poisson_systems import PressureSystem, systems
from parts.record import at_most
from parts.training_script import Session
from sciml.learners.conjugate_directions import PublishedDirections
from solvers import AggregationMultigrid, IncompleteCholesky, SafeguardedCG, linear_solve

__all__ = ["published"]

#: Times the budget of a learned cycle: this network has a thousand times as many parameters.
LONGER = 4
SIZES = (32, 64, 128)
WINDOWS = (2, 32)
MASKS = 6
LIMIT = 1000
CASE = Case(
    "pressure_published",
    "pressure",
    {"resolution": 32},
    (32, 8),
    {"published": {"network": Contender("dcdm-published", {"vectors": 20_000})}},
    {"resolution": 16},
)


def published(session: Session) -> None:
    """Steps to 1e-4 beside CG and incomplete Cholesky, and arithmetic a step."""
    torch.set_num_threads(1)
    scale = dataclasses.replace(session.scale, budget=LONGER * session.scale.budget)
    data = data_of(CASE, scale)
    found = trained(CASE, scale, "network", CASE.families["published"]["network"], 0, data, session.work)
    learner, metrics = found
    assert isinstance(learner, PublishedDirections)
    rows: list[list[Any]] = []
    means: dict[tuple[int, str], float] = {}
    for n in (16, 32) if session.scale.small else SIZES:
        cases = systems((n, n), 2 if session.scale.small else MASKS)
        steps = {
            "CG": _steps(cases, None),
            "incomplete Cholesky, CG": _steps(cases, IncompleteCholesky()),
            "multigrid-CG, textbook": _steps(cases, AggregationMultigrid()),
        }
        for window in WINDOWS:
            steps[f"network, window {window}"] = _directions(cases, learner, window)
        rows += [[f"{n}²", name, fmean(counts), max(counts)] for name, counts in steps.items()]
        means |= {(n, name): fmean(counts) for name, counts in steps.items()}
    parameters = sum(p.numel() for p in learner.module.parameters())
    caption = (
        f"One training of {metrics['train_steps']} steps in {scale.budget:g} s of processor time on the empty box of "
        f"{learner.problem.resolution}² cells (seed 0, {parameters} parameters); {len(cases)} masks a size, noise and "
        f"smooth right-hand sides, relative residual {RTOL:g}, at most {LIMIT} steps. The network costs about "
        f"{_flops(learner):.0f} floating-point operations a cell and step."
    )
    session.record.table("published", ["grid", "solver", "steps", "most"], rows, caption)
    size = learner.problem.resolution
    network = {window: means[size, f"network, window {window}"] for window in WINDOWS}
    facts = {"unit": "1", "seeds": [0], "note": f"two dimensions, {size}²"}
    session.record.figure(
        "dcdm_over_cg.iterations.training_size", network[2] / means[size, "CG"], bar=at_most(0.5), **facts
    )
    session.record.figure(
        "dcdm_window32_over_iccg.iterations.training_size",
        network[32] / means[size, "incomplete Cholesky, CG"],
        bar=at_most(1),
        **facts,
    )


def _steps(cases: list[PressureSystem], recipe: Any) -> list[int]:
    return [prepared(s.matrix, recipe).iterations(b) for s in cases for b in s.sides.values()]


def _directions(cases: list[PressureSystem], learner: PublishedDirections, window: int) -> list[int]:
    """The published loop: nothing takes over where the network is slow."""
    solver = SafeguardedCG(rtol=RTOL, max_iterations=LIMIT, rule=learner, window=window, slowest=math.inf)
    return [
        int(linear_solve(s.matrix, b, solver, AggregationMultigrid(), throw=False).stats.iterations)
        for s in cases
        for b in s.sides.values()
    ]


def _flops(learner: PublishedDirections) -> float:
    """Two operations for each weight of a convolution and each cell it is applied to, on the full and the half grid."""
    d = learner.problem.dimension
    total, share = 0.0, 1.0
    for name, parameter in learner.module.named_parameters():
        if parameter.ndim > 2:
            share = 2.0**-d if "coarse" in name else 1.0
            total += 2 * parameter.numel() * share
    return total
