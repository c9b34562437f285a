"""The numbers of a comparison of learners of meshes as tables: what each is worth, what it costs, and each error."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from sciml.experiments.over_seeds import over_seeds, with_spread
from sciml.report import Cell, significant

__all__ = [
    "cost_columns",
    "cost_rows",
    "error_columns",
    "error_rows",
    "median_error",
    "tidy_csv",
    "winner",
    "worth_columns",
    "worth_rows",
]

Result = Mapping[str, Any]

_COSTS = {
    "train_seconds": "training (s)",
    "predict_ms_per_sample": "prediction (ms)",
    "parameters": "parameters",
    "train_memory_mib": "memory (MiB)",
}


def worth_columns() -> tuple[str, ...]:
    """Headings of `worth_rows`."""
    return ("learner", "median RRMSE", "worst RRMSE", "worst Q²", "95 % cover")


def worth_rows(result: Result) -> list[list[Cell]]:
    """One row a learner, on the first test set: errors of fields, Q² of scalars, coverage of intervals.

    What there is none of is a dash; coverage is the mean over fields, or over scalars if there are no fields.
    """
    rows: list[list[Cell]] = []
    for name, values in result["learners"].items():
        shown = (
            _combined(result, values, "rrmse", result["fields"], median),
            _combined(result, values, "rrmse", result["fields"], max),
            _combined(result, values, "q2", result["scalars"], min),
            _combined(result, values, "coverage_95", result["fields"] or result["scalars"], fmean),
        )
        rows.append([name, *(None if entry is None else with_spread(entry) for entry in shown)])
    return rows


def cost_columns() -> tuple[str, ...]:
    """Headings of `cost_rows`."""
    return ("learner", *_COSTS.values())


def cost_rows(result: Result) -> list[list[Cell]]:
    """One row a learner; memory is what the process held at its peak in training beyond what it held before."""
    learners = result["learners"].items()
    return [
        [name, *(with_spread(values[key]) if key in values else None for key in _COSTS)] for name, values in learners
    ]


def error_columns(result: Result) -> tuple[str, ...]:
    """Headings of `error_rows`."""
    return ("predicted", *result["learners"])


def error_rows(result: Result, test: str | None = None) -> list[list[Cell]]:
    """RRMSE of each field and scalar, one column a learner, on a test set; the first if none is named."""
    test = test or result["tests"][0]
    rows: list[list[Cell]] = []
    for name in (*result["fields"], *result["scalars"]):
        entries = [values.get(f"test.{test}.rrmse.{name}") for values in result["learners"].values()]
        rows.append([name, *(None if entry is None else with_spread(entry) for entry in entries)])
    return rows


def median_error(result: Result, learner: str, metric: str = "rrmse") -> dict[str, Any] | None:
    """An error on the first test set, median over fields, with its spread over seeds; None without fields."""
    return _combined(result, result["learners"][learner], metric, result["fields"], median)


def winner(result: Result) -> str:
    """One sentence: who has the smallest error of the median field (of the median scalar if there are no fields)."""
    names = result["fields"] or result["scalars"]
    what = "field" if result["fields"] else "scalar"
    errors = {}
    for learner, values in result["learners"].items():
        entry = _combined(result, values, "rrmse", names, median)
        if entry is not None:
            errors[learner] = float(entry["value"])
    if not errors:
        return "No relative error can be had: the truth is zero everywhere."
    order = sorted(errors, key=lambda name: errors[name])
    text = f"{order[0]} has the smallest RRMSE of the median {what}: {significant(errors[order[0]])}"
    others = [f"{name} {significant(errors[name] / errors[order[0]])} times" for name in order[1:] if errors[order[0]]]
    return text + (f"; of that have {', '.join(others)}." if others else ".")


def tidy_csv(result: Result) -> str:
    """All numbers, one a line: learner, seed, test set, metric, what was predicted, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("learner", "seed", "test", "metric", "predicted", "value"))
    for learner, values in result["learners"].items():
        for key, entry in values.items():
            test, metric, name = _parts(key, result["tests"])
            for seed, value in zip(result["seeds"], entry["values"], strict=True):
                writer.writerow((learner, seed, test, metric, name, repr(value)))
    return out.getvalue()


def _parts(key: str, tests: Sequence[str]) -> tuple[str, str, str]:
    """Test set, metric and name of a flat key such as "test.held_out.rrmse.u"."""
    for test in tests:
        head = f"test.{test}."
        if key.startswith(head):
            metric, _, name = key.removeprefix(head).partition(".")
            return test, metric, name
    return "", key, ""


def _combined(
    result: Result,
    values: Mapping[str, Any],
    metric: str,
    names: Sequence[str],
    combine: Callable[[list[float]], float],
) -> dict[str, Any] | None:
    """A metric of several fields or scalars on the first test set as one number for each seed."""
    found = [values.get(f"test.{result['tests'][0]}.{metric}.{name}") for name in names]
    known = [entry["values"] for entry in found if entry is not None]
    if not known:
        return None
    columns = ([v for v in column if math.isfinite(v)] for column in zip(*known, strict=True))
    return over_seeds([{"value": combine(column) if column else math.nan} for column in columns])["value"]
