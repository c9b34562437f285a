"""Carry an experiment on meshes through: train, measure, draw, report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from meshes import Mesh
from pde_benchmarks.registry import configure, find
from sciml.errors import RunError
from sciml.experiments.data import Watcher
from sciml.files import read_text, write_text
from sciml.learners.mmgp.evaluation import errors_of
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.mesh_experiments.data import MeshData, with_meshes
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.remarks import named_samples, remarks, sample_name, with_names
from sciml.mesh_experiments.story import write_mesh_story
from sciml.mesh_learner import MeshLearner, load_mesh_learner, mesh_learner_types
from sciml.runs import Run
from solvers.errors import ScimlError

__all__ = ["MeshOutcome", "conduct_on_meshes", "predicted_meshes", "present_on_meshes", "reopen_on_meshes"]

_TRAINING = "training.txt"
#: Odd samples of a test set that are named.
_NAMED = 5


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
    learner = load_mesh_learner(run.directory) if run.trained else _trained(run, experiment, data, watcher)
    return present_on_meshes(run, learner, data, watcher)


def present_on_meshes(run: Run, learner: MeshLearner, data: MeshData, watcher: Watcher) -> MeshOutcome:
    """Measure a trained learner, and write metrics, figures and report."""
    predictions: dict[str, list[MeshPrediction]] = {}
    seconds = 0.0
    for name, test in data.tests.items():
        began = time.perf_counter()
        predictions[name] = predicted_meshes(learner, name, test, watcher)
        seconds += time.perf_counter() - began
    errors = {name: errors_of(found, data.tests[name], data.family) for name, found in predictions.items()}
    name = next(iter(errors))
    milliseconds = 1e3 * seconds / sum(len(test) for test in data.tests.values())
    flat = {f"test.{test}.{key}": value for test, found in errors.items() for key, value in found.items()}
    metrics = {**flat, "predict_ms_per_sample": milliseconds, "parameters": learner.parameter_count, "test": errors}
    run.write_metrics(metrics)
    summary = read_text(run.directory / _TRAINING)
    page = write_mesh_story(run, data, errors, predictions[name], summary)
    return MeshOutcome(metrics, errors[name], page)


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


def predicted_meshes(learner: MeshLearner, name: str, test: Sequence[Mesh], watcher: Watcher) -> list[MeshPrediction]:
    """Predictions for a test set, read one by one; what is odd about samples is said of the first few.

    Raises
    ------
    LearnerError, MeshError, MorphingError
        A sample is none of the family; the message names it.
    """
    found: list[MeshPrediction] = []
    with watcher.bar(f"predicting {name.replace('_', '-')} meshes") as advance:
        for number in range(len(test)):
            advance(number / len(test), f"{number} of {len(test)}")
            found.append(_predicted(learner, test[number], f"{name}, sample {sample_name(test, number)}"))
    odd = [number for number, one in enumerate(found) if one.notes]
    for number in odd[:_NAMED]:
        watcher.say(f"note: {name}, sample {sample_name(test, number)}: {' '.join(found[number].notes)}")
    if len(odd) > _NAMED:
        watcher.say(f"note: {name}: {len(odd) - _NAMED} more samples like these.")
    return found


def _predicted(learner: MeshLearner, mesh: Mesh, name: str) -> MeshPrediction:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are in the prediction's notes
        try:
            (found,) = learner.predict([mesh])
        except ScimlError as error:
            error.args = (f"{name}: {str(error).removeprefix('sample 0: ')}", *error.args[1:])
            raise
    return found


def _trained(run: Run, experiment: MeshExperiment, data: MeshData, watcher: Watcher) -> MeshLearner:
    kind: type[MeshLearner] = find(mesh_learner_types(), experiment.learner, "learner of meshes")
    config = configure(kind.config_type, experiment.learner_settings)
    if data.problem is not None:
        learner = kind.from_problem(data.problem, config, experiment.seed)
    else:
        learner = kind(data.family, config, experiment.seed)
    with remarks(watcher, data.train), named_samples(data.train), watcher.bar("training") as advance:
        report = learner.fit(data.train, progress=advance)
    write_text(run.directory / _TRAINING, with_names(f"{report}\n", data.train))
    learner.save(run.directory)
    return learner
