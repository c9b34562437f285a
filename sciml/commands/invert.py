"""``sciml invert``: from noisy measurements of a solution to its input, with error bars and a re-simulation."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from pde_benchmarks.problem import Problem
    from sciml.experiments import Experiment
    from sciml.inverse import FieldPrior
    from sciml.inversions import Case

__all__ = ["invert"]

Settings = list[str] | None
SENSORS, SNR, BUDGET, LEARNER = 100, 25.0, "90s", "dgno"


def invert(
    target: Annotated[str, typer.Argument(metavar="PROBLEM_OR_RUN", help="name of a problem, or a run directory")],
    observations: Annotated[
        Path | None, typer.Option(help="file of measurements: CSV, HDF5 or NPZ; a synthetic case if none")
    ] = None,
    sensors: Annotated[
        int | None, typer.Option(help="random sensors of a synthetic case", show_default=str(SENSORS))
    ] = None,
    snr: Annotated[
        float | None, typer.Option(help="their signal-to-noise ratio in decibels", show_default=f"{SNR:g}")
    ] = None,
    count: Annotated[int | None, typer.Option(help="synthetic cases inverted together", show_default="1")] = None,
    method: Annotated[
        Literal["map", "laplace", "hmc", "pcn", "svi"], typer.Option(help="how the posterior is found")
    ] = "laplace",
    method_settings: Annotated[
        Settings, typer.Option("--method-set", help="key=value of the method, e.g. draws=2000; repeatable")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the synthetic case and of the inference")] = 0,
    learner: Annotated[str | None, typer.Option(help="learner to train", show_default=LEARNER)] = None,
    budget: Annotated[str | None, typer.Option(help="training time, e.g. 90s", show_default=BUDGET)] = None,
    steps: Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")] = None,
    samples: Annotated[
        int | None, typer.Option(help="training inputs to generate", show_default="usual of the problem")
    ] = None,
    learner_settings: Annotated[Settings, typer.Option("--set", help="key=value of the learner; repeatable")] = None,
    problem_settings: Annotated[
        Settings, typer.Option("--problem-set", help="key=value of the problem; repeatable")
    ] = None,
    training: Annotated[Settings, typer.Option("--training-set", help="key=value of the training; repeatable")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="directory to train in; runs/PROBLEM-LEARNER-seed0 if not given")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="directory of the results; RUN/inversions/NAME if not given")
    ] = None,
) -> None:
    """Find the input of an equation from noisy measurements of its solution, with error bars.

    With the name of a problem its learner is trained first, without labels, in a run directory; one that is there
    already is used, an unfinished one goes on. With a run directory its learner is taken as it is. Without a file of
    measurements a case of known truth is made.
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

    watcher = Terminal()
    config = method_config(method, parsed(method_settings))
    made = {"sensors": sensors, "snr": snr, "count": count}
    options = {
        "learner": learner,
        "budget": budget,
        "steps": steps,
        "samples": samples,
        "set": parsed(learner_settings) or None,
        "problem-set": parsed(problem_settings) or None,
        "training-set": parsed(training) or None,
        "run": run,
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
        "method_settings": parsed(method_settings),
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
