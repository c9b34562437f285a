"""Every grid problem under equal training seconds: MgNO and the baselines, each by its best variant."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from parts.contenders import L2, Case, Scale, best_of, data_of
from parts.operator_cases import CASES
from parts.record import Record, at_most
from parts.training_script import Session
from sciml.classical import classical_rows
from sciml.figures import training_curves
from sciml.files import write_figure
from sciml.runs import Run

__all__ = ["problems"]

H1 = "test.held_out.relative_h1"
OURS = "mgno"


def problems(session: Session) -> None:
    """One table a problem, and the ratio of MgNO's error to the best baseline's."""
    for case in CASES:
        if not session.cases or case.name in session.cases:
            _one(session.record, case, session.scale, session.work)


def _one(record: Record, case: Case, scale: Scale, work: Path) -> None:
    data = data_of(case, scale)
    rows: list[list[Any]] = []
    errors: dict[str, list[float]] = {}
    slowest = 0.0
    histories = {}
    for family, variants in case.families.items():
        best, runs, first = best_of(case, scale, variants, data, work)
        for label, metrics in first.items():
            all_seeds = runs if label == best else [metrics]
            rows.append(_row(label, all_seeds))
        errors[family] = [run[L2] for run in runs]
        slowest = max(slowest, fmean(run["predict_ms_per_sample"] for run in runs))
        folder = work / case.name / f"{best.replace(' ', '-').replace(',', '')}-seed{scale.seeds[0]}"
        histories[f"{family}/{scale.seeds[0]}"] = Run.open(folder).history().rows
    for row in classical_rows(data.problem, data.train, data.tests["held_out"], slowest / 1e3):
        h1 = row.metrics.get("relative_h1")
        numbers = ["", "", 1e3 * row.seconds_per_sample, ""]
        rows.append([row.name, 100 * row.metrics["relative_l2"], None if h1 is None else 100 * h1, *numbers])
    baseline = min((name for name in errors if name != OURS), key=lambda name: fmean(errors[name]))
    reference = fmean(errors[baseline])
    facts = {"seeds": list(scale.seeds), "unit": "1", "budget_s": scale.budget}
    for family, values in errors.items():
        record.figure(f"{case.name}.{family}.relative_l2", values, **facts)
    record.figure(
        f"{case.name}.mgno_over_best_baseline.relative_l2",
        [value / reference for value in errors[OURS]],
        bar=at_most(0.7),
        note=f"the best baseline is {baseline}",
        **facts,
    )
    counts = f"{data.train.count} training and {data.tests['held_out'].count} test samples"
    caption = (
        f"{counts}, {scale.budget:g} s of processor time on one thread for training each. The variant of a family with "
        "the smallest validation error of the first seed is trained with all seeds (mean ± standard deviation); the "
        "others have one."
    )
    columns = ["method", "L² %", "H¹ %", "parameters", "steps", "ms per sample", "seeds"]
    record.table(case.name, columns, rows, caption)
    write_figure(record.figures / f"operators_{case.name}.png", training_curves(histories, scale.budget))


def _row(label: str, runs: list[dict[str, Any]]) -> list[Any]:
    values = [100 * run[L2] for run in runs]
    text: Any = f"{fmean(values):.3g} ± {stdev(values):.1g}" if len(values) > 1 else values[0]
    h1 = [100 * run[H1] for run in runs if H1 in run]
    first = runs[0]
    speed = fmean(run["predict_ms_per_sample"] for run in runs)
    return [label, text, fmean(h1) if h1 else None, first["parameters"], first["train_steps"], speed, len(runs)]
