"""The part of ``sciml invert`` that reconstructs fields with a learned prior."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.commands.invert_options import NOISE

if TYPE_CHECKING:
    from sciml.reconstructions import ForwardProblem, ReconstructionCase, TrainedPrior

__all__ = ["invert_with_prior"]

_OF_SENSORS = {
    "observations": "observations",
    "sensors": "sensors",
    "snr": "snr",
    "learner": "learner",
    "budget": "budget",
    "steps": "steps",
    "samples": "samples",
    "learner_settings": "set",
    "training": "training-set",
    "run": "run",
}


def invert_with_prior(given: Mapping[str, Any]) -> None:
    """Reconstruct fields from data, by the prior of a run and by classical methods, and write a report.

    Raises
    ------
    ConfigurationError
        If options do not fit each other, and what the reconstruction raises.
    """
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.values import settings as parsed
    from sciml.inversions import require_usable
    from sciml.reconstructions import (
        FIELDS,
        Story,
        Wishes,
        assumption_rows,
        at_chosen_noise,
        carry_out,
        columns,
        method_of,
        prior_paths,
        rows,
        trained_prior,
        usual_method,
        verdict,
        write_reconstruction,
    )

    watcher = Terminal()
    problem, settings = _problem(given)
    asked = given["strength"] or "exact"
    prior, strength = at_chosen_noise(trained_prior(given["prior"]), asked)
    details = parsed(given["method_settings"]), _weight(given["weight"]), strength
    case = _case(problem, prior, given)
    wishes = Wishes(given["method"] or usual_method(case.operator, strength), *details)
    folder = given["output"] or prior.run / "inversions" / _name(problem, wishes.method, given)
    replaces = require_usable(folder, FIELDS)
    method = method_of(wishes.method, case.operator, wishes.settings)
    answer = carry_out(case, prior, wishes, watcher)
    start = answer.result.x if case.truth is None else case.truth
    plain = {
        "problem": problem.name,
        "problem_settings": settings,
        "prior": str(prior.run),
        "input": None if given["input"] is None else str(given["input"]),
        "truth": None if given["truth"] is None else str(given["truth"]),
        "noise": _noise(given),
        "method": wishes.method,
        "method_settings": dict(wishes.settings),
        "weight": "auto" if wishes.weight is None else wishes.weight,
        "strength": asked,
        "seed": given["seed"],
    }
    story = Story(plain, prior, case, answer, prior_paths(prior, start[0], given["seed"]), method.tolerance)
    page = write_reconstruction(folder, story, shlex.join(["sciml", *sys.argv[1:]]))
    if replaces:
        watcher.say(f"replaced the reconstruction in {folder}.")
    table(f"{problem.name}: {case.source}", columns(), rows(story.judged))
    table("conditions of the convergence theorem", ("condition", "met"), assumption_rows(answer.result))
    for sentence in (verdict(answer.result), *answer.remarks):
        show(sentence)
    show(f"report: {page}")


def _problem(given: Mapping[str, Any]) -> tuple[ForwardProblem, dict[str, Any]]:
    """What is measured, and the settings that were given of it."""
    from pde_benchmarks.registry import configure, find
    from sciml.commands.values import settings as parsed
    from sciml.errors import ConfigurationError
    from sciml.reconstructions import FORWARD_PROBLEMS, METHODS

    for name, option in _OF_SENSORS.items():
        if given[name]:
            raise ConfigurationError(f"--{option} applies to inversions by sensors, without --prior: leave it out.")
    if given["method"] not in (None, *METHODS):
        raise ConfigurationError(f"--method {given['method']} with --prior: {', '.join(METHODS)} are expected.")
    if given["input"] is not None:
        for name in ("truth", "count"):
            if given[name] is not None:
                raise ConfigurationError(f"--{name} applies to a synthetic case, and --input is a file: leave it out.")
    settings = parsed(given["problem_settings"])
    kind: type[ForwardProblem] = find(FORWARD_PROBLEMS, given["target"], "reconstruction")
    problem: ForwardProblem = configure(kind, settings)
    return problem, settings


def _case(problem: ForwardProblem, prior: TrainedPrior, given: Mapping[str, Any]) -> ReconstructionCase:
    from sciml.reconstructions import recorded_case, synthetic_case

    if given["input"] is not None:
        return recorded_case(problem, prior, given["input"], given["noise"])
    noise, count = _noise(given), 1 if given["count"] is None else given["count"]
    assert noise is not None
    return synthetic_case(problem, prior, noise, given["seed"], count, given["truth"])


def _noise(given: Mapping[str, Any]) -> float | None:
    if given["noise"] is None and given["input"] is None:
        return NOISE
    noise: float | None = given["noise"]
    return noise


def _weight(text: str | None) -> float | None:
    from sciml.errors import ConfigurationError

    if text in (None, "auto"):
        return None
    try:
        return float(str(text))
    except ValueError:
        raise ConfigurationError(f"--weight {text}: a positive number, or auto, is expected.") from None


def _name(problem: ForwardProblem, method: str, given: Mapping[str, Any]) -> Path:
    origin = given["input"] or given["truth"]
    source = f"noise{_noise(given) or 0:g}" if origin is None else Path(origin).stem
    changed = [f"{key}{given[key]}".replace("=", "") for key in ("weight", "strength") if given[key] is not None]
    return Path("-".join([problem.name, method, *changed, source, f"seed{given['seed']}"]))
