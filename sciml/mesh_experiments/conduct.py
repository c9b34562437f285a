"""Carry an experiment on meshes through: train, measure, draw, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pde_benchmarks.registry import configure
from sciml.errors import RunError
from sciml.experiments.data import Watcher
from sciml.mesh_experiments.data import MeshData, with_meshes
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.measure import measured_on_meshes
from sciml.mesh_experiments.remarks import remarks
from sciml.mesh_experiments.story import write_mesh_story
from sciml.mesh_experiments.training import train_on_meshes, training_words
from sciml.mesh_learner import MeshLearner, load_mesh_learner
from sciml.runs import Run

__all__ = ["MeshOutcome", "conduct_on_meshes", "present_on_meshes", "reopen_on_meshes"]


@dataclass(frozen=True)
class MeshOutcome:
    """What an experiment came to: the errors on the first test set, and where the report is."""

    metrics: Mapping[str, Any]
    first: Mapping[str, float]
    report: Path


def conduct_on_meshes(run: Run, experiment: MeshExperiment, data: MeshData, watcher: Watcher) -> MeshOutcome:
    """Train what is not trained yet, then measure everything and write the report."""
    if experiment.threads is not None:
        torch.set_num_threads(experiment.threads)
    return present_on_meshes(run, train_on_meshes(run, experiment, data, watcher), data, watcher)


def present_on_meshes(run: Run, learner: MeshLearner, data: MeshData, watcher: Watcher) -> MeshOutcome:
    """Measure a trained learner, and write metrics, figures and report."""
    found = measured_on_meshes(run, learner, data, watcher)
    run.write_metrics(found.metrics)
    page = write_mesh_story(run, data, found.errors, found.predictions, training_words(run))
    return MeshOutcome(found.metrics, next(iter(found.errors.values())), page)


def reopen_on_meshes(run: Run, watcher: Watcher) -> tuple[MeshLearner, MeshData]:
    """The learner of a trained run, and its data.

    Raises
    ------
    RunError
        Training has not ended, or a file is missing or damaged.
    """
    learner = load_mesh_learner(run.directory)
    experiment: MeshExperiment = configure(MeshExperiment, run.experiment)
    if learner.name != experiment.learner:
        raise RunError(
            f"{run.directory}: config.yaml is of the learner {experiment.learner}, learner.json of {learner.name}: "
            "files of two runs have been mixed; train again with --overwrite."
        )
    with remarks(watcher):
        data = with_meshes(experiment, watcher)
    return learner, data
