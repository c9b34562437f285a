"""Predict the test meshes of an experiment, and measure how far off and how dear the answers are."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshes import Mesh
from sciml.experiments.data import Watcher
from sciml.learners.mmgp.evaluation import errors_of
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.mesh_experiments.data import MeshData
from sciml.mesh_experiments.morphing_advice import stranger
from sciml.mesh_experiments.remarks import sample_name
from sciml.mesh_experiments.training import training_costs
from sciml.mesh_learner import MeshLearner
from sciml.runs import Run
from solvers.errors import ScimlError

__all__ = ["MeshMeasured", "measured_on_meshes", "predicted_meshes"]

#: Odd samples of a test set that are named.
_NAMED = 5


@dataclass(frozen=True)
class MeshMeasured:
    """What a learner is worth.

    Attributes
    ----------
    metrics
        Content of ``metrics.json``.
    errors
        Name of each test set to ``metric.name``.
    predictions
        Of the first test set.
    """

    metrics: Mapping[str, Any]
    errors: Mapping[str, Mapping[str, float]]
    predictions: Sequence[MeshPrediction]


def measured_on_meshes(run: Run, learner: MeshLearner, data: MeshData, watcher: Watcher) -> MeshMeasured:
    """Predict all test sets of a trained learner; raises as `predicted_meshes`."""
    predictions: dict[str, list[MeshPrediction]] = {}
    seconds = 0.0
    for name, test in data.tests.items():
        began = time.perf_counter()
        predictions[name] = predicted_meshes(learner, name, test, watcher)
        seconds += time.perf_counter() - began
    errors = {name: errors_of(found, data.tests[name], data.family) for name, found in predictions.items()}
    metrics = {
        **{f"test.{test}.{key}": value for test, found in errors.items() for key, value in found.items()},
        "learner": learner.name,
        "parameters": learner.parameter_count,
        **training_costs(run),
        "predict_ms_per_sample": 1e3 * seconds / sum(len(test) for test in data.tests.values()),
        "test": errors,
    }
    return MeshMeasured(metrics, errors, next(iter(predictions.values())))


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
            with stranger():
                (found,) = learner.predict([mesh])
        except ScimlError as error:
            error.args = (f"{name}: {str(error).removeprefix('sample 0: ')}", *error.args[1:])
            raise
    return found
