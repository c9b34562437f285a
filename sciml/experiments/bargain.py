"""In a comparison: what accuracy costs in evaluations of learned right-hand sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml.experiments.data import TEST
from sciml.report import significant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bargain", "counters", "evaluations_figure"]

_ERROR = f"test.{TEST}.relative_l2"
_OWN = f"test.{TEST}.evaluations_mean"
_RK45 = f"test.{TEST}.evaluations_rk45"
# A method whose error is larger by this part is called as accurate.
_EQUAL = 1.05


def counters(result: Mapping[str, Any]) -> dict[str, str]:
    """Keys of counted evaluations, to who counted them, as far as any learner of a comparison has them."""
    known = {_OWN: "own solver", _RK45: "SciPy's RK45"}
    return {key: name for key, name in known.items() if any(key in values for values in result["learners"].values())}


def evaluations_figure(result: Mapping[str, Any]) -> Figure:
    """Test error against evaluations, a panel for each who counted them."""
    from sciml.pareto_figure import error_against_evaluations

    panels = {
        name: {
            label: [*_with_spread(values[key]), *_with_spread(values[_ERROR])]
            for label, values in _short(result["learners"]).items()
            if key in values
        }
        for key, name in counters(result).items()
    }
    return error_against_evaluations(panels)


def bargain(result: Mapping[str, Any]) -> str:
    """Which learner is as accurate as the best one with the fewest evaluations; empty where none counts them."""
    found = {label: values for label, values in result["learners"].items() if _OWN in values}
    if len(found) < 2:
        return ""
    first = next(iter(found))
    best = min(values[_ERROR]["value"] for values in found.values())
    equal = [label for label, values in found.items() if values[_ERROR]["value"] <= _EQUAL * best]
    least = min(equal, key=lambda label: found[label][_OWN]["value"])
    evaluations = found[least][_OWN]["value"]
    words = (
        f"Of the learners with a right-hand side whose error is within {_EQUAL - 1:.0%} of the smallest, {least} needs "
        f"the fewest evaluations of it, {significant(evaluations)} a sample"
    )
    if least == first:
        return f"{words}."
    ratios = [found[least][key]["value"] / found[first][key]["value"] for key in (_OWN, _ERROR)]
    return f"{words}: {ratios[0]:.2f} times those of {first}, at {ratios[1]:.2f} times its error."


def _with_spread(entry: Mapping[str, Any]) -> tuple[float, float]:
    return entry["value"], entry["spread"] or 0.0


def _short(learners: Mapping[str, Any]) -> dict[str, Any]:
    """The learners by what tells them apart, where they all are one learner with one setting changed."""
    shared = {label.rpartition("=")[0] for label in learners}
    if len(shared) > 1:
        return dict(learners)
    return {label.rpartition("=")[2]: values for label, values in learners.items()}
