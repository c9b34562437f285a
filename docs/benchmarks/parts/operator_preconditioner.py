"""A network as preconditioner of the certified solve, beside the preconditioners that need no training."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from parts.contenders import Case, Contender, data_of, trained
from parts.timing import interleaved
from parts.training_script import Session
from pde_benchmarks import Corrections, Darcy
from pde_benchmarks.elliptic import EllipticProblem
from sciml.learned_preconditioner import learned_preconditioner
from solvers import FlexibleCG, Jacobi, Solution, linear_solve

__all__ = ["preconditioner"]

LEARNED = Contender("mgno-data", training={"learning_rate": 6e-4})
RTOL = 1e-8
SYSTEMS, SEED, REPEATS = 16, 11, 3


def preconditioner(session: Session) -> None:
    """Steps and time of flexible conjugate gradients to 1e-8 on systems that no training saw."""
    record, scale, work = session.record, session.scale, session.work
    table: list[list[Any]] = []
    for law in ("multiscale", "rough"):
        whole = {"name": "darcy", "config": {"law": law, "resolution": 32 if scale.small else 64}}
        case = Case(f"corrections_{law}", "corrections", {"whole": whole}, (512, 64), {"mgno": {"mgno": LEARNED}}, {})
        data = data_of(case, scale)
        learner, _ = trained(case, scale, "corrections", LEARNED, scale.seeds[0], data, work)
        assert isinstance(data.problem, Corrections)
        problem: EllipticProblem = data.problem.whole
        assert isinstance(problem, Darcy)
        inputs = problem.sample(2 if scale.small else SYSTEMS, torch.Generator().manual_seed(SEED))
        recipes = {
            "Jacobi": Jacobi(),
            "V-cycle": problem.preconditioner(inputs),
            "learned, between 4 Jacobi steps": learned_preconditioner(learner, inputs),
        }
        solves = {name: _solve(problem, inputs, recipe) for name, recipe in recipes.items()}
        times = interleaved(solves, 1 if scale.small else REPEATS)
        for name, solve in solves.items():
            steps = float(solve().stats.iterations.double().mean())
            table.append([law, name, steps, 1e3 * median(times[name]) / inputs.count])
            if name.startswith("learned"):
                over = [mine / theirs for mine, theirs in zip(times[name], times["V-cycle"], strict=True)]
                record.figure(f"darcy_{law}.learned_over_v_cycle_preconditioner.time", over, timed=True, unit="1")
    caption = (
        f"Darcy flow, relative residual {RTOL:g} in double precision, {SYSTEMS} systems at once, set-up included; the "
        f"learner had 512 samples and {scale.budget:g} s of processor time."
    )
    record.table("preconditioner", ["law", "preconditioner", "steps", "ms per system"], table, caption)


def _solve(problem: EllipticProblem, inputs: Any, recipe: Any) -> Callable[[], Solution]:
    def solve() -> Solution:
        return linear_solve(problem.operator(inputs), problem.load(inputs), FlexibleCG(rtol=RTOL), recipe)

    return solve
