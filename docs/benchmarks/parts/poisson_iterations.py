"""Steps of every solver on obstacles that no learner has seen, at the training's size and above."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from parts.poisson_learned import FIELDS, NUMBERS, learned
from parts.poisson_methods import (
    HAND,
    MULTILEVEL,
    ONE_LEVEL,
    TEXTBOOK_ROW,
    TOLERANCES,
    AlgebraicRow,
    hand_tuned,
    prepared,
    reached,
)
from parts.poisson_systems import PressureSystem, systems
from parts.poisson_tuning import SETTINGS, found_by_search
from parts.record import at_most
from parts.training_script import Session
from sciml.figures import convergence
from sciml.files import write_figure
from solvers import Preconditioner
from solvers.multigrid.aggregation_coefficients import CycleCoefficients

__all__ = ["ALGEBRAIC", "iterations", "recipes", "searched"]

ALGEBRAIC = "PyAMG, smoothed aggregation, CG"


@dataclass(frozen=True)
class Size:
    """Cells an axis, masks, and the number of masks on which solvers of one level are counted, too."""

    n: int
    masks: int
    of_one_level: int


SIZES = (Size(32, 20, 20), Size(64, 20, 20), Size(128, 20, 1), Size(256, 1, 0))
SMALL = (Size(16, 2, 2), Size(24, 1, 1))
#: Up to here the network of the fields is asked for every cell.
LARGEST_FIELDS = 128
Residuals = Callable[[Tensor], list[float]]


def iterations(session: Session) -> None:
    """Steps to three tolerances, means over masks; the learned cycles for every seed."""
    torch.set_num_threads(1)
    rows = recipes(session)
    noise: dict[tuple[int, str], list[float]] = {}
    for size in SMALL if session.scale.small else SIZES:
        cases, table, curves = systems((size.n,) * 3, size.masks), [], {}
        for name, seeds, chosen in _applicable(rows, cases, size):
            runs = [[_all_sides(prepare(system.matrix), system) for system in chosen] for prepare in seeds]
            noise[size.n, name] = [_mean([run], "noise", TOLERANCES[0]) for run in runs]
            cells = [_mean(runs, kind, tolerance) for tolerance in TOLERANCES for kind in ("noise", "smooth")]
            worst = max(reached(r, TOLERANCES[0]) for run in runs for sides in run for r in sides.values())
            table.append([name, *cells, worst, len(chosen)])
            if name not in ONE_LEVEL:
                curves[name] = runs[0][0]["noise"]
        columns = ["solver", *(f"{kind}, {t:g}" for t in TOLERANCES for kind in ("noise", "smooth")), "most", "masks"]
        caption = (
            f"Means over masks of {size.n}³ cells and, for learned cycles, over seeds; most: at {TOLERANCES[0]:g}. "
            f"Cycles in float32 within CG in float64, but for PyAMG. {_tuning_text(session)}"
        )
        session.record.table(f"iterations_{size.n}", columns, table, caption)
        write_figure(session.record.figures / f"poisson_residuals_{size.n}.png", convergence(curves, TOLERANCES[0]))
    _figures(session, noise)


def recipes(session: Session) -> dict[str, list[Preconditioner | None]]:
    """All preconditioners by name; a learned one for every seed."""
    classical = {**ONE_LEVEL, **MULTILEVEL, **hand_tuned(searched(session))}
    ours: dict[str, list[Preconditioner | None]] = {label: [*learned(session, label)] for label in (NUMBERS, FIELDS)}
    return {**{name: [recipe] for name, recipe in classical.items()}, **ours}


def searched(session: Session) -> CycleCoefficients:
    """What the row tuned by hand uses."""
    return found_by_search(16, 1) if session.scale.small else found_by_search(32, 6)


def _tuning_text(session: Session) -> str:
    """What the search has found."""
    (level,) = searched(session).levels
    return (
        f"Tuned by hand: relaxation {level.omega_red:g}, links {level.link:g}, mass {level.mass:g}, the best of "
        f"{len(SETTINGS)} settings on other masks of 32³ cells."
    )


def _applicable(
    rows: dict[str, list[Preconditioner | None]], cases: list[PressureSystem], size: Size
) -> Iterator[tuple[str, list[Callable[..., Residuals]], list[PressureSystem]]]:
    """Names, what prepares each seed's solver for a matrix, and the systems that it is counted on."""
    few = cases[: size.of_one_level]
    for name, seeds in rows.items():
        chosen = few if name in ONE_LEVEL else cases
        if chosen and not (name == FIELDS and size.n > LARGEST_FIELDS):
            yield name, [_preparing(recipe) for recipe in seeds], chosen
    if few:
        yield ALGEBRAIC, [lambda A: _algebraic(AlgebraicRow.prepared(A))], few


def _preparing(recipe: Preconditioner | None) -> Callable[..., Residuals]:
    return lambda A: prepared(A, recipe).residuals


def _algebraic(row: AlgebraicRow) -> Residuals:
    return lambda b: row.solve(b, min(TOLERANCES))


def _all_sides(solve: Residuals, system: PressureSystem) -> dict[str, list[float]]:
    return {kind: solve(b) for kind, b in system.sides.items()}


def _mean(runs: list[list[dict[str, list[float]]]], kind: str, tolerance: float) -> float:
    return fmean(reached(sides[kind], tolerance) for run in runs for sides in run)


def _figures(session: Session, noise: dict[tuple[int, str], list[float]]) -> None:
    """Ratios and growth on noise, the right-hand side that contains every mode."""
    record, sizes = session.record, [size.n for size in (SMALL if session.scale.small else SIZES)]
    first, middle, last = sizes[0], sizes[1], sizes[min(2, len(sizes) - 1)]
    facts = {"unit": "1", "seeds": list(session.scale.seeds)}
    for label, suffix in ((NUMBERS, ""), (FIELDS, ".fields")):
        for other, name, bar in ((TEXTBOOK_ROW, "textbook", 0.7), (HAND, "tuned", 0.95)):
            values = [k / noise[middle, other][0] for k in noise[middle, label]]
            bound = {} if suffix else {"bar": at_most(bar)}
            record.figure(f"learned_over_{name}_mgcg.iterations.{middle}cubed{suffix}", values, **bound, **facts)
        growth = [b - a for a, b in zip(noise[first, label], noise[last, label], strict=True)]
        bound = {} if suffix else {"bar": at_most(2)}
        record.figure(f"learned_growth.iterations.{first}_to_{last}cubed{suffix}", growth, **bound, **facts)
