"""Iterations and time of every solver on obstacles that no learner has seen, at the training's size and above."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

import torch

from parts.poisson_learned import FIELDS, NUMBERS, learned
from parts.poisson_methods import CLASSICAL, HAND, RTOL, TEXTBOOK_ROW, prepared, pyamg_solver
from parts.poisson_systems import PressureSystem, systems
from parts.record import at_most
from parts.timing import interleaved
from parts.training_script import Session
from solvers import Preconditioner

__all__ = ["iterations", "times"]

#: Cells an axis, and masks.
SIZES = ((32, 6), (64, 4), (128, 2))
SMALL = ((16, 2), (24, 1))
COLUMNS = ["solver", "noise", "smooth"]
Counts = dict[str, list[float]]


def iterations(session: Session) -> None:
    """Steps to a relative residual of 1e-4, means over masks; the learned cycles for every seed."""
    torch.set_num_threads(1)
    rows = _recipes(session)
    means: dict[tuple[int, str], list[float]] = {}
    for n, count in SMALL if session.scale.small else SIZES:
        cases, table = systems((n,) * 3, count), []
        for name, recipes in rows.items():
            found = [_counts(cases, recipe) for recipe in recipes]
            means[n, name] = [fmean(one["noise"] + one["smooth"]) for one in found]
            table.append([name, *(fmean(fmean(one[kind]) for one in found) for kind in ("noise", "smooth"))])
        if not session.scale.small or n == 16:
            steps = [[len(pyamg_solver(s.matrix)[1](b)) - 1 for b in s.sides.values()] for s in cases]
            table.append(["PyAMG, smoothed aggregation, CG", *(fmean(k) for k in zip(*steps, strict=True))])
        caption = f"{count} masks of {n}³ cells, relative residual {RTOL:g}; learned cycles are means over seeds."
        session.record.table(f"iterations_{n}", COLUMNS, table, caption)
    _iteration_figures(session, means)


def times(session: Session) -> None:
    """Seconds of set-up and solve, in interleaved rounds, one thread."""
    torch.set_num_threads(1)
    rows = {name: recipes[0] for name, recipes in _recipes(session).items()}
    for n, count in SMALL if session.scale.small else ((64, 3), (128, 2)):
        kept = {name: recipe for name, recipe in rows.items() if n <= 64 or "multigrid" in name or "cycle" in name}
        seconds: dict[str, list[list[float]]] = {name: [] for name in kept}
        setups: dict[str, list[float]] = {name: [] for name in kept}
        pyamg_times: list[list[float]] = []
        for system in systems((n,) * 3, count):
            ready = {name: prepared(system.matrix, recipe) for name, recipe in kept.items()}
            jobs = {name: _solve_all(system, one.solve) for name, one in ready.items()}
            setup, solve = pyamg_solver(system.matrix)
            jobs["PyAMG"] = _solve_all(system, solve)
            spent = interleaved(jobs, 1 if session.scale.small else 5)
            pyamg_times.append([setup, median(spent["PyAMG"]) / 2])
            for name, one in ready.items():
                seconds[name].append([s / 2 for s in spent[name]])
                setups[name].append(one.setup_seconds)
        _time_table(session, n, seconds, setups, pyamg_times)
        _time_figures(session, n, seconds)


def _recipes(session: Session) -> dict[str, list[Preconditioner | None]]:
    ours: dict[str, list[Preconditioner | None]] = {label: [*learned(session, label)] for label in (NUMBERS, FIELDS)}
    return {**{name: [recipe] for name, recipe in CLASSICAL.items()}, **ours}


def _counts(cases: list[PressureSystem], recipe: Preconditioner | None) -> Counts:
    counts: Counts = {"noise": [], "smooth": []}
    for system in cases:
        one = prepared(system.matrix, recipe)
        for kind, b in system.sides.items():
            counts[kind].append(one.iterations(b))
    return counts


def _solve_all(system: PressureSystem, solve: Any) -> Any:
    return lambda: [solve(b) for b in system.sides.values()]


def _iteration_figures(session: Session, means: dict[tuple[int, str], list[float]]) -> None:
    record, sizes = session.record, sorted({n for n, _ in means})
    middle = sizes[1]
    facts = {"unit": "1", "seeds": list(session.scale.seeds)}
    for label, suffix in ((NUMBERS, ""), (FIELDS, ".fields")):
        for other, name, bar in ((TEXTBOOK_ROW, "textbook", 0.7), (HAND, "tuned", 0.95)):
            values = [k / means[middle, other][0] for k in means[middle, label]]
            bound = {} if suffix else {"bar": at_most(bar)}
            record.figure(f"learned_over_{name}_mgcg.iterations.{middle}cubed{suffix}", values, **bound, **facts)
        growth = [b - a for a, b in zip(means[sizes[0], label], means[sizes[-1], label], strict=True)]
        bound = {} if suffix else {"bar": at_most(2)}
        record.figure(f"learned_growth.iterations.{sizes[0]}_to_{sizes[-1]}cubed{suffix}", growth, **bound, **facts)


def _time_table(
    session: Session,
    n: int,
    seconds: dict[str, list[list[float]]],
    setups: dict[str, list[float]],
    pyamg_times: list[list[float]],
) -> None:
    rows = [
        [name, 1e3 * fmean(setups[name]), 1e3 * fmean(median(one) for one in per_mask)]
        for name, per_mask in seconds.items()
    ]
    amg = [1e3 * fmean(column) for column in zip(*pyamg_times, strict=True)]
    rows.append(["PyAMG, smoothed aggregation, CG, float64", *amg])
    caption = (
        f"{len(pyamg_times)} masks of {n}³ cells, noise and smooth right-hand sides, relative residual {RTOL:g}, "
        "float64 with cycles in float32, one thread, medians of interleaved rounds; the learned cycles are those of "
        "the first seed."
    )
    session.record.table(f"times_{n}", ["solver", "set-up, ms", "solve, ms"], rows, caption)


def _time_figures(session: Session, n: int, seconds: dict[str, list[list[float]]]) -> None:
    """The learned cycle against the fastest classical solver of each mask, and against the two cycles."""
    masks = range(len(seconds[NUMBERS]))
    classical = [name for name in seconds if name in CLASSICAL]
    fastest = [min(classical, key=lambda name: median(seconds[name][k])) for k in masks]
    facts = {"timed": True, "unit": "1"}
    for label, suffix in ((NUMBERS, ""), (FIELDS, ".fields")):
        against = {
            "best_classical": fastest,
            "textbook_mgcg": [TEXTBOOK_ROW for _ in masks],
            "tuned_mgcg": [HAND for _ in masks],
        }
        for other, names in against.items():
            ratios = [a / b for k in masks for a, b in zip(seconds[label][k], seconds[names[k]][k], strict=True)]
            is_owed = other == "best_classical" and not suffix
            more = {"bar": at_most(1)} if is_owed else {}
            note = {"note": "fastest: " + ", ".join(sorted(set(fastest)))} if other == "best_classical" else {}
            session.record.figure(f"learned_over_{other}.time.{n}cubed{suffix}", ratios, **facts, **more, **note)
