"""``sciml run``: train a learner, judge it, and write a run directory."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sciml.experiments import Experiment

__all__ = ["run"]

Settings = list[str] | None


def run(
    problem: Annotated[str | None, typer.Argument(help="name of a problem, see `sciml list problems`")] = None,
    learner: Annotated[str | None, typer.Option(help="name of a learner, see `sciml list learners`")] = None,
    budget: Annotated[str | None, typer.Option(help="training time of every learner, e.g. 60s or 2min")] = None,
    steps: Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of weights and batches")] = None,
    samples: Annotated[int | None, typer.Option(help="training samples to generate")] = None,
    test_samples: Annotated[int | None, typer.Option(help="test samples to generate")] = None,
    baselines: Annotated[str | None, typer.Option(help="learners to train beside it, comma-separated, or none")] = None,
    learner_settings: Annotated[Settings, typer.Option("--set", help="key=value of the learner; repeatable")] = None,
    problem_settings: Annotated[
        Settings, typer.Option("--problem-set", help="key=value of the problem; repeatable")
    ] = None,
    training: Annotated[
        Settings, typer.Option("--training-set", help="key=value of the training, e.g. batch_size=4; repeatable")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="processor threads")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="run directory; runs/PROBLEM-LEARNER-seedS if not given")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of an experiment, or a run's config.yaml")] = None,
    data: Annotated[Path | None, typer.Option(help="file of recorded pairs to train on, instead of a problem")] = None,
    test_data: Annotated[list[Path] | None, typer.Option(help="file of pairs to test on; repeatable")] = None,
    input_name: Annotated[str | None, typer.Option(help="name of the input array in the files")] = None,
    output_name: Annotated[str | None, typer.Option(help="name of the output array in the files")] = None,
    alignment: Annotated[
        str | None, typer.Option(help="where the grid points lie: cell, vertex, interior or left")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what an earlier run left in the directory")] = False,
) -> None:
    """Train a learner on a problem (or on files by --data), measure it beside baselines, and write a report.

    An unfinished run in the same directory goes on by itself.
    """
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.values import names, seconds
    from sciml.commands.values import settings as parsed
    from sciml.experiments import COLUMNS, conduct, table_rows, with_data
    from sciml.runs import Run

    given = {
        "problem": problem,
        "problem_settings": parsed(problem_settings) or None,
        "learner": learner,
        "learner_settings": parsed(learner_settings) or None,
        "baselines": names(baselines),
        "budget_seconds": None if budget is None else seconds(budget),
        "steps": steps,
        "training": parsed(training) or None,
        "seed": seed,
        "samples": samples,
        "test_samples": test_samples,
        "threads": threads,
        "data": None if data is None else str(data),
        "test_data": [str(path) for path in test_data] if test_data else None,
        "input_name": input_name,
        "output_name": output_name,
        "alignment": alignment,
    }
    watcher = Terminal()
    experiment, remark = _experiment(config, {key: value for key, value in given.items() if value is not None})
    subject = experiment.problem or Path(str(experiment.data)).stem
    directory = output or Path("runs") / f"{subject}-{experiment.learner}-seed{experiment.seed}"
    made = Run.create(directory, experiment.plain(), shlex.join(["sciml", *sys.argv[1:]]), overwrite)
    if made.begun:
        watcher.say(f"{directory}: an unfinished run of the same experiment is there; it goes on.")
    if remark:
        watcher.say(remark)
    found = with_data(experiment, watcher)
    for sentence in found.found:
        show(sentence)
    outcome = conduct(made, experiment, found, watcher)
    test = next(iter(found.tests))
    table(
        f"errors on {test}, mean over {found.tests[test].count} samples", COLUMNS, table_rows(outcome.story, brief=True)
    )
    show(f"report: {outcome.report}")


def _experiment(config: Path | None, given: dict[str, Any]) -> tuple[Experiment, str]:
    """The experiment that file and options describe, and a remark on what was chosen for the user."""
    from pde_benchmarks.registry import configure, find
    from sciml.experiments import Experiment, default_baselines, default_learner, training_config
    from sciml.experiments.experiment import build_problem
    from sciml.learner import learner_types

    values = {**_from_file(config), **given}
    if "learner" not in values:
        # Filled in below, once the problem is known.
        values["learner"] = ""
    experiment: Experiment = configure(Experiment, values)
    remark = ""
    if experiment.problem is None:
        values["learner"] = experiment.learner or "mgno-data"
    else:
        posed = build_problem(experiment.problem, experiment.problem_settings)
        values["learner"] = experiment.learner or default_learner(posed)
        if "baselines" not in values:
            values["baselines"], remark = default_baselines(posed, values["learner"])
    for name in (values["learner"], *values.get("baselines", ())):
        kind = find(learner_types(), name, "learner")
        training_config(configure(Experiment, values), kind)
    configure(learner_types()[values["learner"]].config_type, experiment.learner_settings)
    experiment = configure(Experiment, values)
    return experiment, remark


def _from_file(path: Path | None) -> dict[str, Any]:
    """An experiment's values from YAML; a run's ``config.yaml`` has them in its section ``experiment``."""
    from sciml.runs import read_yaml

    if path is None:
        return {}
    values = read_yaml(path)
    inner = values.get("experiment")
    return dict(inner) if isinstance(inner, dict) else values
