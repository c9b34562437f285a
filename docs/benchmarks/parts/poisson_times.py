"""Seconds and memory of set-up and solve around obstacles and in an empty box, in interleaved rounds, one thread."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean, median
from typing import Any

import torch

from parts.poisson_iterations import ALGEBRAIC, recipes
from parts.poisson_learned import FIELDS, NUMBERS
from parts.poisson_methods import (
    HAND,
    MULTILEVEL,
    ONE_LEVEL,
    RTOL,
    TEXTBOOK_ROW,
    TOLERANCES,
    AlgebraicRow,
    prepared,
)
from parts.poisson_systems import PressureSystem, empty_box, systems
from parts.record import at_most
from parts.timing import interleaved
from parts.training_script import Session
from solvers import FastPoisson, Preconditioner, linear_solve

__all__ = ["times"]

#: Solvers of one level are timed up to here.
LARGEST_ONE_LEVEL = 64
Spent = dict[str, list[dict[float, list[float]]]]


def times(session: Session) -> None:
    """Every solver at three tolerances; the fastest classical one is found mask by mask."""
    torch.set_num_threads(1)
    rows = {name: seeds[0] for name, seeds in recipes(session).items()}
    for n, count in ((16, 2), (24, 1)) if session.scale.small else ((64, 3), (128, 2)):
        kept = {name: one for name, one in rows.items() if n <= LARGEST_ONE_LEVEL or name not in ONE_LEVEL}
        spent: Spent = {name: [] for name in (*kept, ALGEBRAIC)}
        setups: dict[str, list[tuple[float, int]]] = {name: [] for name in spent}
        for system in systems((n,) * 3, count):
            solvers, setup = _ready(system, kept)
            found = {
                t: interleaved({k: _both(system, s, t) for k, s in solvers.items()}, _rounds(session))
                for t in TOLERANCES
            }
            for name in spent:
                spent[name].append({t: [s / 2 for s in found[t][name]] for t in TOLERANCES})
                setups[name].append(setup[name])
        _table(session, n, spent, setups)
        _figures(session, n, spent)
    _empty(session, rows)


def _rounds(session: Session) -> int:
    return 1 if session.scale.small else 5


def _ready(
    system: PressureSystem, rows: dict[str, Preconditioner | None]
) -> tuple[dict[str, Callable[..., Any]], dict[str, tuple[float, int]]]:
    """Solvers of one matrix, and the seconds and bytes of their set-up."""
    ready: dict[str, Any] = {name: prepared(system.matrix, recipe, weighed=True) for name, recipe in rows.items()}
    ready[ALGEBRAIC] = AlgebraicRow.prepared(system.matrix)
    setups = {name: (one.setup_seconds, one.setup_bytes) for name, one in ready.items()}
    return {name: one.solve for name, one in ready.items()}, setups


def _both(system: PressureSystem, solve: Callable[..., Any], tolerance: float) -> Callable[[], Any]:
    return lambda: [solve(b, tolerance) for b in system.sides.values()]


def _table(session: Session, n: int, spent: Spent, setups: dict[str, list[tuple[float, int]]]) -> None:
    rows = []
    for name, masks in spent.items():
        seconds, size = (fmean(column) for column in zip(*setups[name], strict=True))
        solves = [1e3 * fmean(median(mask[t]) for mask in masks) for t in TOLERANCES]
        rows.append([name, 1e3 * seconds, size / 1e6, *solves, 1e3 * seconds + solves[0]])
    columns = ["solver", "set-up, ms", "set-up, MB", *(f"solve, ms, {t:g}" for t in TOLERANCES), "set-up and first"]
    caption = (
        f"{len(masks)} masks of {n}³ cells, noise and smooth right-hand sides, float64 with cycles in float32, one "
        "thread, medians of interleaved rounds; the learned cycles are those of the first seed; the last column adds "
        f"set-up and one solve at {RTOL:g}."
    )
    session.record.table(f"times_{n}", columns, rows, caption)


def _figures(session: Session, n: int, spent: Spent) -> None:
    """The learned cycle against the fastest classical solver of each mask, and against the two cycles."""
    masks = range(len(spent[NUMBERS]))
    classical = [name for name in spent if name in (*ONE_LEVEL, *MULTILEVEL, HAND, ALGEBRAIC)]
    fastest = [min(classical, key=lambda name: median(spent[name][k][RTOL])) for k in masks]
    facts = {"timed": True, "unit": "1"}
    for label, suffix in ((NUMBERS, ""), (FIELDS, ".fields")):
        against = {
            "best_classical": fastest,
            "textbook_mgcg": [TEXTBOOK_ROW for _ in masks],
            "tuned_mgcg": [HAND for _ in masks],
        }
        for other, names in against.items():
            pairs = [zip(spent[label][k][RTOL], spent[names[k]][k][RTOL], strict=True) for k in masks]
            ratios = [a / b for pair in pairs for a, b in pair]
            is_owed = other == "best_classical" and not suffix
            more = {"bar": at_most(1)} if is_owed else {}
            note = {"note": "fastest: " + ", ".join(sorted(set(fastest)))} if other == "best_classical" else {}
            session.record.figure(f"learned_over_{other}.time.{n}cubed{suffix}", ratios, **facts, **more, **note)


def _empty(session: Session, rows: dict[str, Preconditioner | None]) -> None:
    """A box without obstacles, where a fast transform solves exactly."""
    n = 16 if session.scale.small else 64
    system = empty_box(n)
    kept = {name: one for name, one in rows.items() if name not in ONE_LEVEL}
    solvers, _ = _ready(system, kept)
    state = linear_solve(system.matrix, next(iter(system.sides.values())), FastPoisson()).state
    solvers["FastPoisson"] = lambda b, tolerance: linear_solve(system.matrix, b, state=state)
    spent = interleaved({name: _both(system, solve, RTOL) for name, solve in solvers.items()}, _rounds(session))
    table = [[name, 1e3 * median(seconds) / 2] for name, seconds in spent.items()]
    caption = f"A box of {n}³ cells, all of it fluid, its top open; relative residual {RTOL:g}; FastPoisson is exact."
    session.record.table("empty_box", ["solver", "solve, ms"], table, caption)
