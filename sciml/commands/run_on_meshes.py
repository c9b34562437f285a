"""The part of ``sciml run`` for parts on meshes of varying shape."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.mesh_experiments import MeshData, MeshExperiment, MeshOutcome

__all__ = ["ONLY_MESHES", "concerns_meshes", "mesh_experiment", "run_on_meshes"]

#: Options of ``sciml run`` that meshes have, as names of what they give: those of all, of files, of problems.
_COMMON = ("problem", "learner", "learner_settings", "seed", "threads")
_FILES = (
    "data", "test_data", "fields", "cell_fields", "vectors", "scalars", "inputs", "outputs", "landmarks", "mirror",
    "plaid", "ending",
)  # fmt: skip
_PROBLEMS = ("problem_settings", "samples", "test_samples", "workers")
#: Options that only meshes have.
ONLY_MESHES = ("workers", *(name for name in _FILES if name not in ("data", "test_data")))
#: Options whose names are not those of what they give.
_OPTIONS = {
    "budget_seconds": "budget",
    "training": "training-set",
    "problem_settings": "problem-set",
    "fields": "field",
    "cell_fields": "cell-field",
    "vectors": "vector",
    "inputs": "given-scalars",
    "outputs": "predict-scalars",
}


def concerns_meshes(values: Mapping[str, Any]) -> bool:
    """Whether the options (or a file of them) describe an experiment on meshes."""
    from pde_benchmarks.registry import mesh_problem_types
    from sciml.mesh_learner import mesh_learner_types

    if values.get("problem") in mesh_problem_types() or values.get("learner") in mesh_learner_types():
        return True
    if any(values.get(name) for name in ONLY_MESHES):
        return True
    return values.get("data") is not None and _holds_meshes(Path(str(values["data"])))


def run_on_meshes(values: Mapping[str, Any], output: Path | None, overwrite: bool) -> None:
    """Train a learner on meshes, measure it, and write a report.

    Raises
    ------
    ConfigurationError
        An option that has no meaning for meshes, a problem on grids, or a learner of grids.
    """
    from sciml.commands.console import Terminal, show
    from sciml.mesh_experiments import conduct_on_meshes, remarks, with_meshes
    from sciml.runs import Run

    experiment = mesh_experiment(values)
    watcher = Terminal()
    with remarks(watcher):
        # Whatever files lack is said before anything is written; what is generated comes after the directory.
        data = with_meshes(experiment, watcher) if experiment.data is not None else None
    for sentence in data.found if data is not None else ():
        show(sentence)
    subject = experiment.problem or Path(str(experiment.data)).stem
    directory = output or Path("runs") / f"{subject}-{experiment.learner}-seed{experiment.seed}"
    run = Run.create(directory, experiment.plain(), shlex.join(["sciml", *sys.argv[1:]]), overwrite)
    if run.begun:
        watcher.say(f"{directory}: an unfinished run of the same experiment is there; it goes on.")
    data = data or with_meshes(experiment, watcher)
    _show(conduct_on_meshes(run, experiment, data, watcher), data)


def mesh_experiment(values: Mapping[str, Any]) -> MeshExperiment:
    """The experiment on meshes that options describe, once it is seen that it can be begun.

    Raises
    ------
    ConfigurationError
        As `run_on_meshes`.
    """
    from pde_benchmarks.registry import configure
    from sciml.errors import ConfigurationError
    from sciml.mesh_experiments import MeshExperiment

    values = {name: value for name, value in values.items() if value not in (None, [], {})}
    foreign = [name for name in values if name not in _COMMON + _FILES + _PROBLEMS]
    if foreign:
        raise ConfigurationError(f"--{_option(foreign[0])} has no meaning for meshes: leave it out.")
    tests = values.get("test_data")
    if isinstance(tests, list):
        if len(tests) > 1:
            raise ConfigurationError("--test-data: one folder is expected for meshes; make splits of one folder.")
        values["test_data"] = tests[0]
    experiment: MeshExperiment = configure(MeshExperiment, values)
    _require_possible(experiment)
    return experiment


def _show(outcome: MeshOutcome, data: MeshData) -> None:
    from sciml.commands.console import show, table
    from sciml.mesh_experiments import result_columns, result_rows
    from sciml.report import counted

    name, test = next(iter(data.tests.items()))
    rows = result_rows(outcome.first, data.family, data.units)
    table(f"errors on {name}, {counted(len(test), 'sample')}", result_columns(data.units), rows)
    show(f"report: {outcome.report}")


def _require_possible(experiment: MeshExperiment) -> None:
    """Refuse what cannot work while nothing has been read or computed yet."""
    from pde_benchmarks.registry import configure, find
    from sciml.mesh_experiments import require_mirrorable
    from sciml.mesh_learner import mesh_learner_types

    kind = find(mesh_learner_types(), experiment.learner, "learner of meshes")
    config = configure(kind.config_type, experiment.learner_settings)
    if experiment.problem is not None:
        _refuse(experiment, _FILES)
        kind.from_problem(experiment.posed(), config, experiment.seed)
    else:
        _refuse(experiment, _PROBLEMS)
        if experiment.mirror:
            require_mirrorable(experiment.learner)


def _refuse(experiment: Any, names: tuple[str, ...]) -> None:
    from sciml.errors import ConfigurationError

    for name in names:
        if getattr(experiment, name):
            place = "a problem" if experiment.problem is None else "files, and this run is of a problem"
            raise ConfigurationError(f"--{_option(name)} applies to {place}: leave it out.")


def _option(name: str) -> str:
    return _OPTIONS.get(name, name.replace("_", "-"))


def _holds_meshes(path: Path) -> bool:
    from sciml.mesh_experiments import holds_meshes

    return path.exists() and holds_meshes(path)
