"""The part of ``sciml run`` for fields on grids."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.experiments import Experiment, ExperimentData, Outcome, Watcher
    from sciml.runs import Run

__all__ = ["run_on_grids"]


def run_on_grids(
    from_file: Mapping[str, Any],
    given: Mapping[str, Any],
    output: Path | None,
    overwrite: bool,
    *,
    experts: str | None = None,
    regularizer: str | None = None,
) -> None:
    """Train a learner and its baselines on grids, measure them, and write a report.

    Raises
    ------
    ConfigurationError, LearnerError, DatasetError, RunError
        As what is asked for cannot be done.
    """
    from sciml.commands.console import Terminal
    from sciml.commands.run_on_meshes import ONLY_MESHES
    from sciml.experiments import Silent, accompany, conduct, with_data
    from sciml.processes import first_process

    # None of these says anything here, or the experiment would be on meshes.
    given = {name: value for name, value in given.items() if name not in ONLY_MESHES}
    watcher = Terminal() if first_process() else Silent()
    if "budget_seconds" in given and "steps" in given:
        watcher.say("--steps decides; --budget is not used.")
    experiment, remark = _experiment(from_file, given, experts, regularizer)
    subject = experiment.problem or Path(str(experiment.data)).stem
    directory = output or Path("runs") / f"{subject}-{experiment.learner}-seed{experiment.seed}"
    # Whatever cannot work is said before anything is generated or written.
    found = with_data(experiment, watcher) if experiment.data is not None else None
    _require_possible(experiment, found)
    made, found = _begun(directory, experiment, found, overwrite, remark, watcher)
    if first_process():
        _show_found(found)
        _show_outcome(conduct(made, experiment, found, watcher), found)
    else:
        accompany(made, experiment, found)


def _require_possible(experiment: Experiment, found: ExperimentData | None) -> None:
    """Raise what forbids to train the learner or one of its baselines."""
    from sciml.experiments import beside, build_problem, ready, untrained

    for one in (experiment, *beside(experiment)):
        if found is not None:
            ready(one, found)
        else:
            untrained(one, build_problem(str(experiment.problem), experiment.problem_settings))


def _begun(
    directory: Path,
    experiment: Experiment,
    found: ExperimentData | None,
    overwrite: bool,
    remark: str,
    watcher: Watcher,
) -> tuple[Run, ExperimentData]:
    """The run's directory and its data: made by the first process, then opened by the others."""
    from sciml.experiments import with_data
    from sciml.processes import first_process, first_then_others
    from sciml.runs import Run

    with first_then_others():
        if first_process():
            made = Run.create(directory, experiment.plain(), shlex.join(["sciml", *sys.argv[1:]]), overwrite)
        else:
            made = Run.open(directory)
        if made.begun:
            watcher.say(f"{directory}: an unfinished run of the same experiment is there; it goes on.")
        if remark:
            watcher.say(remark)
        return made, found or with_data(experiment, watcher)


def _show_found(found: ExperimentData) -> None:
    from sciml.commands.console import show

    for sentence in found.found:
        show(sentence)


def _show_outcome(outcome: Outcome, found: ExperimentData) -> None:
    from sciml.commands.console import show, table
    from sciml.experiments import table_columns, table_rows
    from sciml.report import counted

    name, test = outcome.story.test
    title = f"errors on {name}, mean over {counted(test.count, 'sample')}"
    table(title, table_columns(found.tests), table_rows(outcome.story, brief=True))
    show(f"report: {outcome.report}")


def _experiment(
    from_file: Mapping[str, Any], given: Mapping[str, Any], experts: str | None, regularizer: str | None
) -> tuple[Experiment, str]:
    """The experiment that file and options describe, and a remark on what was chosen for the user."""
    from pde_benchmarks.registry import configure, find
    from sciml.commands.experts import with_experts
    from sciml.commands.learner_setting import with_regularizer
    from sciml.experiments import Experiment, build_problem, default_baselines, default_learner
    from sciml.learner import learner_types

    values = _with_learner_of_files({**from_file, **given})
    _refuse_unused(values, given)
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
    asked = list(values.get("baselines", ()))
    values["baselines"] = [name for name in dict.fromkeys(asked) if name != values["learner"]]
    if len(values["baselines"]) < len(asked):
        remark = "a baseline that is the learner itself, or is named twice, is trained once only."
    for name in (values["learner"], *values.get("baselines", ())):
        find(learner_types(), name, "learner")
    if experts is not None:
        values["learner_settings"] = with_experts(values["learner"], values.get("learner_settings", {}), experts)
    if regularizer is not None:
        stated, settings = given.get("learner_settings", {}), values.get("learner_settings", {})
        values["learner_settings"] = with_regularizer(values["learner"], settings, regularizer, stated)
    experiment = configure(Experiment, values)
    return experiment, remark


def _with_learner_of_files(values: dict[str, Any]) -> dict[str, Any]:
    """With --data there is no problem to be named: the argument may be the learner's name."""
    from sciml.errors import ConfigurationError
    from sciml.learner import learner_types

    name, learner = values.get("problem"), values.get("learner")
    if values.get("data") is None or name not in learner_types():
        return values
    if learner not in (None, name):
        raise ConfigurationError(f"{name} --learner {learner}: two learners: name one of them.")
    return {**values, "problem": None, "learner": name}


def _refuse_unused(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Options of files beside a problem, and of problems beside files, would be ignored in silence."""
    from sciml.errors import ConfigurationError
    from sciml.learner import learner_types

    unused: tuple[str, ...] = ()
    place = ""
    if values.get("data") is None:
        unused, place = ("test_data", "input_name", "output_name", "alignment"), "files: give --data, or leave it out"
    elif values.get("problem") is None:
        unused, place = ("problem_settings", "samples", "test_samples"), "a problem, and --data is a file: leave it out"
        if getattr(learner_types().get(values.get("learner", "")), "denoises", False):
            unused = ("samples", "test_samples")  # the settings say how images are read
    for name in unused:
        if name in given:
            option = {"problem_settings": "problem-set"}.get(name, name.replace("_", "-"))
            raise ConfigurationError(f"--{option} applies to {place}.")
