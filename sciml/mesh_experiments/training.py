"""Train a learner of meshes into its run directory, with what the training said and took."""

from __future__ import annotations

import inspect
from typing import Any

from pde_benchmarks.registry import configure, find
from sciml.errors import ConfigurationError
from sciml.experiments.data import Watcher
from sciml.files import read_json, read_text, write_json, write_text
from sciml.mesh_experiments.costs import costs
from sciml.mesh_experiments.data import MeshData
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.morphing_advice import advised
from sciml.mesh_experiments.remarks import named_samples, remarks, with_names
from sciml.mesh_learner import MeshLearner, load_mesh_learner, mesh_learner_types
from sciml.runs import Run

__all__ = ["require_mirrorable", "train_on_meshes", "training_costs", "training_words"]

_WORDS, _COSTS = "training.txt", "training.json"


def train_on_meshes(run: Run, experiment: MeshExperiment, data: MeshData, watcher: Watcher) -> MeshLearner:
    """The trained learner of the experiment: it is loaded if the run has one.

    Raises
    ------
    ConfigurationError, LearnerError, MeshError, MorphingError
        The learner cannot be built, or the samples cannot be used.
    """
    if run.trained:
        return load_mesh_learner(run.directory)
    learner = _untrained(experiment, data)
    with (
        remarks(watcher, data.train),
        watcher.bar(f"training {learner.name}") as advance,
        named_samples(data.train),
        advised(data.train, data.family.landmarks),
        costs() as spent,
    ):
        report = learner.fit(data.train, progress=advance)
    write_text(run.directory / _WORDS, with_names(f"{report}\n", data.train))
    write_json(run.directory / _COSTS, {"train_seconds": spent.seconds, "train_memory_mib": spent.memory})
    learner.save(run.directory)
    return learner


def training_words(run: Run) -> str:
    """What the training said of itself; raises RunError where it is missing."""
    return read_text(run.directory / _WORDS)


def training_costs(run: Run) -> dict[str, float]:
    """``train_seconds`` and ``train_memory_mib`` of a run, as far as they are known."""
    if not (run.directory / _COSTS).is_file():
        return {}
    return {name: value for name, value in read_json(run.directory / _COSTS).items() if value is not None}


def require_mirrorable(learner: str) -> None:
    """Raise ConfigurationError if a learner cannot be told that mirror images of its samples are samples, too."""
    able = {name for name, kind in mesh_learner_types().items() if "mirror" in inspect.signature(kind).parameters}
    if learner not in able:
        raise ConfigurationError(
            f"--mirror: {learner} takes no mirror images; learners that do: {', '.join(sorted(able))}."
        )


def _untrained(experiment: MeshExperiment, data: MeshData) -> MeshLearner:
    kind: Any = find(mesh_learner_types(), experiment.learner, "learner of meshes")
    config = configure(kind.config_type, experiment.learner_settings)
    if data.problem is not None:
        learner: MeshLearner = kind.from_problem(data.problem, config, experiment.seed)
    elif data.mirror is None:
        learner = kind(data.family, config, experiment.seed)
    else:
        require_mirrorable(experiment.learner)
        learner = kind(data.family, config, experiment.seed, mirror=data.mirror)
    return learner
