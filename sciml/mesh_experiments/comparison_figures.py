"""Figures of a comparison of learners of meshes: error by error, coverage, and error against training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sciml.figures import _COLOURS, _figure, _finish, error_against
from sciml.mesh_experiments.comparison_tables import median_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["comparison_figures"]

Result = Mapping[str, Any]

#: Of the space between two groups of bars.
_GROUP = 0.8


def comparison_figures(result: Result) -> dict[str, tuple[Figure, str]]:
    """Name of a file to a figure and its caption, on the first test set."""
    names = [*result["fields"], *result["scalars"]]
    found = {
        "errors": (
            _bars(result, names, "rrmse", "RRMSE (1)", logarithmic=True),
            "RRMSE of every field and scalar; the bar is the standard deviation over seeds.",
        ),
        "coverage": (
            _bars(result, names, "coverage_95", "share within intervals of 95 % (1)", logarithmic=False),
            "How much of the truth intervals of 95 % hold: below the line they are too narrow.",
        ),
    }
    points = _points(result)
    if points:
        caption = "Relative L² error of the median field against training seconds; the bar is over seeds."
        found["seconds"] = error_against(points, "seconds"), caption
    return found


def _bars(result: Result, names: Sequence[str], metric: str, label: str, *, logarithmic: bool) -> Figure:
    """Groups of bars, one group a field or scalar, one colour a learner."""
    learners = list(result["learners"])
    width = _GROUP / len(learners)
    figure = _figure(max(5.0, 0.45 * len(names) * max(2, len(learners)) ** 0.5 + 2.5), 4.0)
    axes = figure.add_subplot()
    drawn: list[list[float]] = []
    for number, learner in enumerate(learners):
        entries = [result["learners"][learner].get(f"test.{result['tests'][0]}.{metric}.{name}") for name in names]
        shown = [(place, entry) for place, entry in enumerate(entries) if entry and _drawable(entry, logarithmic)]
        places = [place - _GROUP / 2 + (number + 0.5) * width for place, _ in shown]
        heights = [entry["value"] for _, entry in shown]
        spreads = [entry["spread"] or 0.0 for _, entry in shown]
        drawn.append(heights)
        bars = spreads if any(spreads) else None
        colour = _COLOURS[number % len(_COLOURS)]
        axes.bar(places, heights, width, yerr=bars, label=learner, color=colour, capsize=2)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set(ylabel=label, yscale="log" if logarithmic else "linear")
    if not logarithmic:
        axes.axhline(0.95, color="0.4", linewidth=1)
        lowest = min([value for heights in drawn for value in heights], default=1.0)
        axes.set_ylim(max(0.0, min(0.8, lowest - 0.1)), 1.01)
    _finish(axes)
    return figure


def _drawable(entry: Mapping[str, Any], logarithmic: bool) -> bool:
    return entry["value"] == entry["value"] and (entry["value"] > 0 or not logarithmic)


def _points(result: Result) -> dict[str, list[list[float]]]:
    """Learners with training seconds, relative error of the median field and its spread."""
    found = {}
    for learner, values in result["learners"].items():
        error = median_error(result, learner, "relative_l2")
        if error is not None and "train_seconds" in values and error["value"] > 0:
            found[learner] = [[values["train_seconds"]["value"], error["value"], error["spread"] or 0.0]]
    return found
