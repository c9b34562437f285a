"""The meshes of an experiment: generated from its problem, or read from the files people have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from meshes import Mesh
from pde_benchmarks.mesh_problem import MeshProblem
from sciml.experiments.data import TEST, TEST_SEED, TRAINING_SEED, Advance, Watcher
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.symmetry import Mirror
from sciml.mesh_experiments.experiment import MeshExperiment
from sciml.mesh_experiments.mirrors import mirror_of
from sciml.mesh_experiments.recorded import recorded_meshes

__all__ = ["MeshData", "with_meshes"]


@dataclass(frozen=True)
class MeshData:
    """What a learner is trained and tested on.

    Parameters
    ----------
    family
        Names of what is given and what is predicted.
    train, tests
        Meshes, read when they are asked for; test sets by name.
    units
        Name of a field or scalar to its unit, where it is known.
    problem
        The problem they were generated from, if any.
    found
        What was found in files, in sentences.
    mirror
        Under which the family stays what it is, if one was named.
    """

    family: PartFamily
    train: Sequence[Mesh]
    tests: dict[str, Sequence[Mesh]]
    units: dict[str, str] = field(default_factory=dict)
    problem: MeshProblem | None = None
    found: tuple[str, ...] = ()
    mirror: Mirror | None = None


def with_meshes(experiment: MeshExperiment, watcher: Watcher) -> MeshData:
    """Generate the samples of a problem (or take them from the cache), or open files.

    Raises
    ------
    DatasetError, MeshFileError, ConfigurationError
        The data cannot be made, read, or do not have what is asked of them.
    """
    if experiment.data is None:
        return _generated(experiment, watcher)
    family, train, tests, found = recorded_meshes(experiment, watcher)
    mirror = mirror_of(experiment.mirror, family)
    return MeshData(family, train, dict(tests), train.units, found=found, mirror=mirror)


def _generated(experiment: MeshExperiment, watcher: Watcher) -> MeshData:
    from pde_benchmarks.datasets import cached_meshes

    problem = experiment.posed()
    usual = problem.usual_samples
    counts = (experiment.samples or usual[0], experiment.test_samples or usual[1])
    sets = []
    for title, count, seed in zip(("training", "test"), counts, (TRAINING_SEED, TEST_SEED), strict=True):
        with watcher.bar(f"{title} meshes") as advance:
            told = partial(_tell, advance)
            sets.append(cached_meshes(problem, count, seed, workers=experiment.workers, progress=told))
    units = {spec.name: spec.unit for spec in (*problem.inputs, *problem.outputs)}
    return MeshData(PartFamily.of(problem), sets[0], {TEST: sets[1]}, units, problem)


def _tell(advance: Advance, done: int, wanted: int) -> None:
    advance(done / wanted, f"{done} of {wanted}")
