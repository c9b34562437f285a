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
from parts.poisson_tuning import TUNING_SEED
from parts.record import at_most
from parts.training_script import Session
from sciml.learners.conjugate_directions import PublishedDirections
from solvers import AggregationMultigrid, IncompleteCholesky, SafeguardedCG, linear_solve

__all__ = ["published"]

SIZES = (32, 64, 128)
WINDOWS = (2, 32)
MASKS, TUNING_MASKS = 10, 6
LIMIT = 1000
#: Trainings that are tried. Long ones fit the empty box better and the residuals behind obstacles worse.
STEPS, RATES = (200, 400, 800, 1600, 6400), (5e-4, 2e-3)
CASE = Case(
    "pressure_published",
    "pressure",
    {"resolution": 32},
    (32, 8),
    {
        "published": {
            f"network, rate {rate:g}": Contender("dcdm-published", {"vectors": 20_000}, {"learning_rate": rate})
            for rate in RATES
        }
    },
    {"resolution": 16},
)


def published(session: Session) -> None:
    """Steps to 1e-4 beside CG and incomplete Cholesky, and arithmetic a step."""
    torch.set_num_threads(1)
    steps, label = _chosen(session)
    learners = [_trained(session, steps, label, seed) for seed in session.scale.seeds]
    rows: list[list[Any]] = []
    means: dict[tuple[int, str], list[float]] = {}
    for n in (16, 32) if session.scale.small else SIZES:
        cases = systems((n, n), 2 if session.scale.small else MASKS)
        counts = {
            "CG": [_steps(cases, None)],
            "incomplete Cholesky, CG": [_steps(cases, IncompleteCholesky())],
            "multigrid-CG, textbook": [_steps(cases, AggregationMultigrid())],
        }
        for window in WINDOWS:
            counts[f"network, window {window}"] = [_directions(cases, one, window) for one in learners]
        rows += [[f"{n}²", name, fmean(map(fmean, seeds)), max(map(max, seeds))] for name, seeds in counts.items()]
        means |= {(n, name): [fmean(one) for one in seeds] for name, seeds in counts.items()}
    caption = (
        f"Trainings of {steps} steps on the empty box of {learners[0].problem.resolution}² cells, seeds "
        f"{', '.join(map(str, session.scale.seeds))}, {_parameters(learners[0])} parameters; {len(cases)} masks a "
        f"size, noise and smooth right-hand sides, relative residual {RTOL:g}, at most {LIMIT} steps. The network "
        f"costs about {_flops(learners[0]):.0f} floating-point operations a cell and step."
    )
    session.record.table("published", ["grid", "solver", "steps", "most"], rows, caption)
    _figures(session, learners[0].problem.resolution, means)


def _chosen(session: Session) -> tuple[int, str]:
    """Length and learning rate of the training with the fewest steps on masks of its own; the first seed."""
    size = 16 if session.scale.small else 32
    cases = systems((size, size), 1 if session.scale.small else TUNING_MASKS, seed=TUNING_SEED)
    table, found = [], {}
    for label in CASE.families["published"]:
        for steps in STEPS[:1] if session.scale.small else STEPS:
            counts = [_directions(cases, _trained(session, steps, label, 0), window) for window in WINDOWS]
            found[steps, label] = fmean(counts[0])
            table.append([label, steps, *map(fmean, counts)])
    columns = ["training", "steps of training", *(f"steps, window {window}" for window in WINDOWS)]
    caption = f"{len(cases)} other masks of {size}², on which the training is chosen by the first window; seed 0."
    session.record.table("published_choice", columns, table, caption)
    return min(found, key=lambda key: found[key])


def _trained(session: Session, steps: int, label: str, seed: int) -> PublishedDirections:
    scale = dataclasses.replace(session.scale, steps=steps)
    case = dataclasses.replace(CASE, name=f"{CASE.name}_{steps}")
    contender = CASE.families["published"][label]
    learner, _ = trained(case, scale, label, contender, seed, data_of(CASE, scale), session.work)
    assert isinstance(learner, PublishedDirections)
    return learner


def _figures(session: Session, size: int, means: dict[tuple[int, str], list[float]]) -> None:
    facts = {"unit": "1", "seeds": list(session.scale.seeds), "note": f"two dimensions, {size}²"}
    bars = {2: ("dcdm_over_cg", "CG", 0.5), 32: ("dcdm_window32_over_iccg", "incomplete Cholesky, CG", 1)}
    for window, (name, other, bar) in bars.items():
        ratios = [steps / means[size, other][0] for steps in means[size, f"network, window {window}"]]
        session.record.figure(f"{name}.iterations.training_size", ratios, bar=at_most(bar), **facts)


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


def _parameters(learner: PublishedDirections) -> int:
    return sum(p.numel() for p in learner.module.parameters())


def _flops(learner: PublishedDirections) -> float:
    """Two operations for each weight of a convolution and each cell it is applied to, on the full and the half grid."""
    d = learner.problem.dimension
    total, share = 0.0, 1.0
    for name, parameter in learner.module.named_parameters():
        if parameter.ndim > 2:
            share = 2.0**-d if "coarse" in name else 1.0
            total += 2 * parameter.numel() * share
    return total
