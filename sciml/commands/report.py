"""``sciml report``: render the report of a run again, and film what it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.learner import Learner

__all__ = ["report"]

FRAMES_PER_SECOND = 10


def report(
    run: Annotated[Path, typer.Argument(help="run directory")],
    animation: Annotated[
        Path | None,
        typer.Option(
            help="film to write of the test sample of median error: .gif, or .mp4 (needs ffmpeg); of problems with "
            "instants"
        ),
    ] = None,
) -> None:
    """Measure a trained run again and render its figures and its report."""
    from sciml.commands.console import Terminal, show
    from sciml.errors import ConfigurationError
    from sciml.experiments import present, reopen
    from sciml.mesh_experiments import present_on_meshes, reopen_on_meshes
    from sciml.mesh_learner import is_mesh_learner
    from sciml.runs import Run

    watcher = Terminal()
    opened = Run.open(run)
    if is_mesh_learner(run):
        if animation is not None:
            raise ConfigurationError(f"--animation {animation}: {run} is of fields on meshes; leave it out.")
        show(f"report: {present_on_meshes(opened, *reopen_on_meshes(opened, watcher), watcher).report}")
        return
    if animation is not None:
        _require_film(opened.load_learner(), animation)
    experiment, data, learners = reopen(opened, watcher)
    show(f"report: {present(opened, experiment, data, learners, watcher).report}")
    if animation is not None:
        _film(learners[experiment.learner], next(iter(data.tests.values())), animation)
        show(f"animation: {animation}")


def _require_film(learner: Learner, path: Path) -> None:
    """Say what forbids a film before anything is measured."""
    from sciml.errors import ConfigurationError
    from sciml.experiments.trajectories import drawable_times
    from sciml.simulations.films import check_film

    if drawable_times(learner.problem) is None:
        raise ConfigurationError(
            f"--animation {path}: {learner.problem.name} gives no trajectory of numbers, or of fields on up to two "
            "axes; leave it out."
        )
    check_film(path, "--animation")


def _film(learner: Learner, test: Dataset, path: Path) -> None:
    from sciml.experiments.story import sample_errors, typical_sample
    from sciml.experiments.trajectories import sample_trajectory
    from sciml.simulations.films import write_film
    from sciml.trajectory_film import trajectory_film

    row, _ = typical_sample(sample_errors(learner, test), test)
    pictures = trajectory_film(sample_trajectory(learner, test, row), f"{test.problem.name}, sample {row}")
    write_film(path, pictures, FRAMES_PER_SECOND)
