"""The part of ``sciml evaluate`` for parts on meshes of varying shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshes import Mesh
    from sciml.commands.console import Terminal
    from sciml.mesh_learner import MeshLearner

__all__ = ["evaluate_on_meshes"]


def evaluate_on_meshes(run: Path, data: Sequence[Path], scalars: Path | None, others: Mapping[str, Any]) -> None:
    """Measure a trained learner on its own test sets or on folders of meshes, one table for each.

    Raises
    ------
    ConfigurationError
        An option that has no meaning for meshes.
    LearnerError, DatasetError, RunError
        The run or the data cannot be used.
    """
    from sciml.commands.console import Terminal, table
    from sciml.errors import ConfigurationError
    from sciml.learners.mmgp.evaluation import errors_of
    from sciml.mesh_experiments import predicted_meshes, result_columns, result_rows
    from sciml.report import counted

    unfit = [option for option, value in others.items() if value is not None]
    if unfit:
        raise ConfigurationError(f"{unfit[0]} has no meaning for meshes: leave it out.")
    if scalars is not None and not data:
        raise ConfigurationError("--scalars applies to files: give --data, or leave it out.")
    watcher = Terminal()
    learner, tests, units = _opened(run, data, scalars, watcher)
    errors = {}
    for name, test in tests.items():
        found = predicted_meshes(learner, name, test, watcher)
        errors[name] = errors_of(found, test, learner.family)
    for name, values in errors.items():
        size, foreign = counted(len(tests[name]), "sample"), values["foreign_share"]
        title = f"{learner.name} in {run}: errors on {name}, {size}, {foreign:.0%} of foreign shape"
        table(title, result_columns(units), result_rows(values, learner.family, units))


def _opened(
    run: Path, data: Sequence[Path], scalars: Path | None, watcher: Terminal
) -> tuple[MeshLearner, dict[str, Sequence[Mesh]], dict[str, str]]:
    """The learner, test sets by name, and units of what it predicts."""
    from pde_benchmarks.registry import configure
    from sciml.mesh_experiments import MeshExperiment, read_meshes_like, remarks, reopen_on_meshes
    from sciml.mesh_learner import load_mesh_learner
    from sciml.runs import Run

    if not data:
        learner, own = reopen_on_meshes(Run.open(run), watcher)
        return learner, own.tests, own.units
    learner = load_mesh_learner(run)
    # A learner that was saved in Python has no experiment.
    described = (run / "config.yaml").is_file()
    experiment = configure(MeshExperiment, Run.open(run).experiment) if described else None
    with remarks(watcher):
        each = [read_meshes_like(path, learner.family, scalars, experiment) for path in data]
    folders = {name: folder for found in each for name, folder in found.items()}
    return learner, dict(folders), next(iter(folders.values())).units
