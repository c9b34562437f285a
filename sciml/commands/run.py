"""``sciml run``: train a learner, judge it, and write a run directory."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.commands.options import Alignment

if TYPE_CHECKING:
    from sciml.experiments import Experiment

__all__ = ["run"]

Settings = list[str] | None


def run(
    problem: Annotated[str | None, typer.Argument(help="name of a problem, see `sciml list problems`")] = None,
    learner: Annotated[
        str | None,
        typer.Option(help="name of a learner, see `sciml list learners`", show_default="mgno, or mgno-data for --data"),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="training time of every learner, e.g. 60s or 2min", show_default="60s")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="training steps instead of a budget (deterministic)")] = None,
    seed: Annotated[int | None, typer.Option(help="seed of weights and batches", show_default="0")] = None,
    samples: Annotated[
        int | None, typer.Option(help="training samples to generate", show_default="1024, fewer of dear ones")
    ] = None,
    test_samples: Annotated[
        int | None, typer.Option(help="test samples to generate", show_default="200, fewer of dear ones")
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="learners to train beside it, comma-separated, or none",
            show_default="mgno-data and fno, or unet without fno; none for --data",
        ),
    ] = None,
    learner_settings: Annotated[Settings, typer.Option("--set", help="key=value of the learner; repeatable")] = None,
    experts: Annotated[
        str | None,
        typer.Option(help="experts that share a hard constraint: a number, or boxes along each axis such as '1 4'"),
    ] = None,
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
    data: Annotated[
        Path | None, typer.Option(help="file of recorded pairs, or folder of meshes, to train on instead of a problem")
    ] = None,
    test_data: Annotated[
        list[Path] | None, typer.Option(help="file of pairs to test on, repeatable; or a folder of meshes")
    ] = None,
    input_name: Annotated[str | None, typer.Option(help="name of the input array in the files")] = None,
    output_name: Annotated[str | None, typer.Option(help="name of the output array in the files")] = None,
    alignment: Annotated[Alignment | None, typer.Option(help="where the grid points lie")] = None,
    fields: Annotated[
        Settings, typer.Option("--field", help="meshes by --data: point field to predict; repeatable")
    ] = None,
    scalars: Annotated[Path | None, typer.Option(help="meshes by --data: CSV file of scalars, one row a file")] = None,
    given_scalars: Annotated[
        str | None,
        typer.Option(help="scalars that are given, comma-separated", show_default="all others in the CSV file"),
    ] = None,
    predict_scalars: Annotated[str | None, typer.Option(help="scalars that are predicted, comma-separated")] = None,
    landmarks: Annotated[
        str | None, typer.Option(help="node sets of one boundary node each in every mesh, in order, comma-separated")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="meshes that are generated at a time")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what an earlier run left in the directory")] = False,
) -> None:
    """Train a learner on a problem (or on files by --data), measure it, beside baselines on grids, and write a report.

    An unfinished run in the same directory goes on by itself. Started by torchrun, all processes train, and the first
    one does the rest.
    """
    from sciml.commands.console import Terminal, show, table
    from sciml.commands.run_on_meshes import concerns_meshes, run_on_meshes
    from sciml.commands.values import names, seconds
    from sciml.commands.values import settings as parsed
    from sciml.experiments import (
        Silent,
        accompany,
        beside,
        build_problem,
        conduct,
        ready,
        table_columns,
        table_rows,
        untrained,
        with_data,
    )
    from sciml.processes import first_process, first_then_others
    from sciml.report import counted
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
    of_meshes = {
        "fields": fields,
        "scalars": None if scalars is None else str(scalars),
        "inputs": names(given_scalars),
        "outputs": names(predict_scalars),
        "landmarks": names(landmarks),
        "workers": workers,
    }
    values = {**_from_file(config), **{key: value for key, value in (given | of_meshes).items() if value is not None}}
    if concerns_meshes(values):
        run_on_meshes(values, output, overwrite)
        return
    watcher = Terminal() if first_process() else Silent()
    if budget is not None and steps is not None:
        watcher.say("--steps decides; --budget is not used.")
    experiment, remark = _experiment(config, {key: value for key, value in given.items() if value is not None}, experts)
    subject = experiment.problem or Path(str(experiment.data)).stem
    directory = output or Path("runs") / f"{subject}-{experiment.learner}-seed{experiment.seed}"
    # Whatever cannot work is said before anything is generated or written.
    found = with_data(experiment, watcher) if experiment.data is not None else None
    for one in (experiment, *beside(experiment)):
        if found is not None:
            ready(one, found)
        else:
            untrained(one, build_problem(str(experiment.problem), experiment.problem_settings))
    with first_then_others():
        if first_process():
            made = Run.create(directory, experiment.plain(), shlex.join(["sciml", *sys.argv[1:]]), overwrite)
        else:
            made = Run.open(directory)
        if made.begun:
            watcher.say(f"{directory}: an unfinished run of the same experiment is there; it goes on.")
        if remark:
            watcher.say(remark)
        found = found or with_data(experiment, watcher)
    if not first_process():
        accompany(made, experiment, found)
        return
    for sentence in found.found:
        show(sentence)
    outcome = conduct(made, experiment, found, watcher)
    name, test = outcome.story.test
    title = f"errors on {name}, mean over {counted(test.count, 'sample')}"
    table(title, table_columns(found.tests), table_rows(outcome.story, brief=True))
    show(f"report: {outcome.report}")


def _experiment(config: Path | None, given: dict[str, Any], experts: str | None) -> tuple[Experiment, str]:
    """The experiment that file and options describe, and a remark on what was chosen for the user."""
    from pde_benchmarks.registry import configure, find
    from sciml.experiments import Experiment, build_problem, default_baselines, default_learner
    from sciml.learner import learner_types

    values = {**_from_file(config), **given}
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
        values["learner_settings"] = _with_experts(values["learner"], values.get("learner_settings", {}), experts)
    experiment = configure(Experiment, values)
    return experiment, remark


def _with_experts(learner: str, settings: dict[str, Any], experts: str) -> dict[str, Any]:
    """The learner's settings with these experts, where it has any."""
    import dataclasses

    from sciml.errors import ConfigurationError
    from sciml.learner import learner_types

    having = [
        name
        for name, kind in sorted(learner_types().items())
        if any(field.name == "experts" for field in dataclasses.fields(kind.config_type))
    ]
    if learner not in having:
        raise ConfigurationError(f"--experts {experts}: {learner} has no experts; learners with: {', '.join(having)}.")
    if "experts" in settings:
        raise ConfigurationError(f"--experts {experts} beside --set experts={settings['experts']}: give one of them.")
    return {**settings, "experts": int(experts) if experts.strip().isdigit() else experts}


def _refuse_unused(values: dict[str, Any], given: dict[str, Any]) -> None:
    """Options of files beside a problem, and of problems beside files, would be ignored in silence."""
    from sciml.errors import ConfigurationError

    unused: tuple[str, ...] = ()
    place = ""
    if values.get("data") is None:
        unused, place = ("test_data", "input_name", "output_name", "alignment"), "files: give --data, or leave it out"
    elif values.get("problem") is None:
        unused, place = ("problem_settings", "samples", "test_samples"), "a problem, and --data is a file: leave it out"
    for name in unused:
        if name in given:
            option = {"problem_settings": "problem-set"}.get(name, name.replace("_", "-"))
            raise ConfigurationError(f"--{option} applies to {place}.")


def _from_file(path: Path | None) -> dict[str, Any]:
    """An experiment's values from YAML; a run's ``config.yaml`` has them in its section ``experiment``."""
    from sciml.runs import read_yaml, require_known_schema

    if path is None:
        return {}
    values = read_yaml(path)
    if isinstance(values.get("schema"), int):
        require_known_schema(path, values["schema"])
    inner = values.get("experiment")
    return dict(inner) if isinstance(inner, dict) else values
