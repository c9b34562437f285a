"""The part of ``sciml invert`` for equations whose solution was measured by sensors."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.commands.invert_options import BUDGET, LEARNER, SENSORS, SNR

if TYPE_CHECKING:
    from pde_benchmarks.problem import Problem
    from sciml.experiments import Experiment
    from sciml.inverse import FieldPrior
    from sciml.inversions import Case

__all__ = ["invert_by_sensors"]

_ONLY_WITH_PRIOR = ("input", "truth", "noise", "weight", "strength")


def invert_by_sensors(given: Mapping[str, Any]) -> None:
    """Train a learner where there is none, invert measurements with it, and write the posterior.

    Raises
    ------
    ConfigurationError
        If an option is of reconstructions with a prior, and what the inversion raises.
    """
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.values import settings as parsed
    from sciml.inversions import (
        Inversion,
        carry_out,
        columns,
        method_config,
        numbers,
        require_usable,
        rows,
        trained_run,
        verdict,
        write_inversion,
    )

    _refuse_foreign(given)
    watcher = Terminal()
    target, observations, seed = given["target"], given["observations"], given["seed"]
    method, settings_of_method = given["method"] or "laplace", parsed(given["method_settings"])
    run, output = given["run"], given["output"]
    config = method_config(method, settings_of_method)
    made = {name: given[name] for name in ("sensors", "snr", "count")}
    options = {
        **{name: given[name] for name in ("learner", "budget", "steps", "samples", "run")},
        "set": parsed(given["learner_settings"]) or None,
        "problem-set": parsed(given["problem_settings"]) or None,
        "training-set": parsed(given["training"]) or None,
    }
    experiment, asked = _training(target, {key: value for key, value in options.items() if value is not None})
    directory = run or _directory(target, experiment)
    # Whatever cannot work is said before anything is trained.
    prior = _prior(directory, experiment)
    case = _case(prior.problem, observations, made, seed)
    folder = output or directory / "inversions" / _name(method, observations, made, seed)
    replaces = require_usable(folder)
    if experiment is not None:
        prior = _prior(trained_run(directory, experiment, asked, watcher).directory, None)
    result = carry_out(prior, case, method, config, seed, watcher)
    settings = {
        "problem": prior.problem.name,
        "learner": experiment.learner if experiment is not None else _learner_name(directory),
        "run": str(directory),
        "method": method,
        "method_settings": settings_of_method,
        "observations": None if observations is None else str(observations),
        **(_synthetic(made) if observations is None else {}),
        "seed": seed,
    }
    inversion = Inversion(prior.problem, settings, case, result, numbers(prior, case, result))
    page = write_inversion(folder, inversion, shlex.join(["sciml", *sys.argv[1:]]))
    if replaces:
        watcher.say(f"replaced the inversion in {folder}.")
    show(f"{prior.problem.name} by {method}: {case.source}")
    table("", columns(inversion), rows(inversion))
    show(verdict(case, inversion.found))
    show(f"report: {page}")


def _refuse_foreign(given: Mapping[str, Any]) -> None:
    """What belongs to reconstructions would be ignored in silence."""
    from sciml.errors import ConfigurationError
    from sciml.reconstructions.choices import METHODS
    from sciml.reconstructions.forward_problems import FORWARD_PROBLEMS

    target = given["target"]
    if target in FORWARD_PROBLEMS and target != "darcy":
        raise ConfigurationError(
            f"{target} needs a learned prior: give its run by --prior; `sciml run denoising --learner lpn` trains one."
        )
    for name in _ONLY_WITH_PRIOR:
        if given[name] is not None:
            raise ConfigurationError(
                f"--{name} applies to reconstructions with a learned prior: give its run by --prior too."
            )
    if given["method"] in METHODS:
        raise ConfigurationError(f"--method {given['method']} needs a learned prior: give its run by --prior.")


def _synthetic(made: dict[str, Any]) -> dict[str, Any]:
    """Options of a synthetic case with their defaults."""
    usual = {"sensors": SENSORS, "snr": SNR, "count": 1}
    return {key: usual[key] if value is None else value for key, value in made.items()}


def _case(problem: Problem, observations: Path | None, made: dict[str, Any], seed: int) -> Case:
    """From the file, or made."""
    from sciml.errors import ConfigurationError
    from sciml.inversions import recorded_case, synthetic_case

    if observations is None:
        values = _synthetic(made)
        return synthetic_case(problem, values["sensors"], values["snr"], seed, values["count"])
    for option, value in made.items():
        if value is not None:
            raise ConfigurationError(
                f"--{option} applies to a synthetic case, and --observations is a file: leave it out."
            )
    return recorded_case(problem, observations)


def _name(method: str, observations: Path | None, made: dict[str, Any], seed: int) -> str:
    if observations is not None:
        return f"{method}-{observations.stem}-seed{seed}"
    values = _synthetic(made)
    cases = f"-count{values['count']}" if values["count"] > 1 else ""
    return f"{method}-sensors{values['sensors']}-snr{values['snr']:g}{cases}-seed{seed}"


def _training(target: str, options: dict[str, Any]) -> tuple[Experiment | None, frozenset[str]]:
    """The training that the options ask for, and which settings were named; None where the target is a run."""
    from pde_benchmarks.registry import problem_types
    from sciml.commands.values import seconds
    from sciml.errors import ConfigurationError
    from sciml.experiments import Experiment

    if target not in problem_types():
        if not Path(target).is_dir():
            known = ", ".join(sorted(problem_types()))
            raise ConfigurationError(f"{target}: neither a run directory nor a problem: known problems are {known}.")
        for option in options:
            raise ConfigurationError(f"--{option} applies to training, and {target} is a run already: leave it out.")
        return None, frozenset()
    keys = {"budget": "budget_seconds", "steps": "steps", "samples": "samples", "training-set": "training"}
    experiment = Experiment(
        learner=options.get("learner", LEARNER),
        problem=target,
        problem_settings=options.get("problem-set", {}),
        learner_settings=options.get("set", {}),
        budget_seconds=seconds(options.get("budget", BUDGET)),
        steps=options.get("steps"),
        training=options.get("training-set", {}),
        samples=options.get("samples"),
    )
    return experiment, frozenset(keys[option] for option in options if option in keys)


def _directory(target: str, experiment: Experiment | None) -> Path:
    return Path(target) if experiment is None else Path("runs") / f"{target}-{experiment.learner}-seed{experiment.seed}"


def _prior(directory: Path, experiment: Experiment | None) -> FieldPrior:
    """Of the trained learner in a run directory, or of the one that is to be trained."""
    from sciml.experiments import build_problem, untrained
    from sciml.runs import Run

    if experiment is None:
        return Run.open(directory).load_learner().field_prior()
    return untrained(experiment, build_problem(str(experiment.problem), experiment.problem_settings)).field_prior()


def _learner_name(directory: Path) -> str:
    from sciml.runs import Run

    return str(Run.open(directory).experiment["learner"])
