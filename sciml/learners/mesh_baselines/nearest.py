"""The nearest part of the training set as a learner: what a surrogate has to beat."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from meshes.mesh import Mesh
from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.registry import configure, describe_problem, rebuild_mesh_problem
from sciml.capabilities import Capabilities
from sciml.errors import LearnerError
from sciml.learners.mesh_baselines.nearest_config import NearestPartConfig
from sciml.learners.mesh_baselines.nearest_model import NearestModel
from sciml.learners.mesh_baselines.nearest_training import train_nearest
from sciml.learners.mmgp import MMGP, FitReport, MeshPrediction, Mirror, PartFamily
from sciml.learners.mmgp.evaluation import errors_of
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.morphings import named_morphing
from sciml.learners.mmgp.predicting import predict_all
from sciml.learners.mmgp.similarity import Similar, Similarity
from sciml.learners.mmgp.storage import read_description, read_model, write_learner
from sciml.learners.mmgp.symmetry import WithMirrorImages

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["NearestPart"]

SCHEMA = 1


class NearestPart:
    """Fields and scalars of the training part whose shape and given scalars are nearest, carried to the new mesh.

    Parts are brought onto a common mesh as by `sciml.learners.mmgp.MMGP`; the distance is that of shape coefficients
    and scalars, each in its standard deviations. Nothing is regressed: error bars are what the nearest other part
    misses of each training part.

    Parameters
    ----------
    family
        Names of what is given and what is predicted.
    config
        Settings.
    seed
        Of the folds; the answer does not depend on it.
    mirror
        Parts of which the mirror image of each sample is a sample, too.
    problem
        The problem that the family is from.

    Examples
    --------
    >>> import numpy as np
    >>> from meshes import structured_grid, to_simplices
    >>> def bar(height, load):
    ...     mesh = to_simplices(structured_grid(np.linspace(0, 4, 9), np.linspace(0, height, 4)))
    ...     return dataclasses.replace(mesh, point_data={"w": load * mesh.points[:, 0]}, global_data={"load": load})
    >>> learner = NearestPart(PartFamily(("w",), ("load",)), NearestPartConfig(morphing="same-cells"))
    >>> _ = learner.fit([bar(height, load) for height in (1.0, 1.5) for load in (1.0, 2.0, 3.0)])
    >>> (answer,) = learner.predict([bar(1.4, 2.2)])
    >>> round(float(answer.mean["w"].max()), 2)  # of the load 2: 2 · 4
    8.0
    """

    name: ClassVar[str] = "nearest"
    capabilities: ClassVar[Capabilities] = MMGP.capabilities
    config_type: ClassVar[type[NearestPartConfig]] = NearestPartConfig

    def __init__(
        self,
        family: PartFamily,
        config: NearestPartConfig | None = None,
        seed: int = 0,
        mirror: Mirror | None = None,
        problem: MeshProblem | None = None,
    ) -> None:
        self.family = family
        self.config = config or NearestPartConfig()
        self.seed = seed
        self.mirror = mirror
        self.problem = problem
        self._model: NearestModel | None = None

    @classmethod
    def accepts(cls, problem: object) -> str | None:
        """None if this learner can learn ``problem``, else one sentence that says why not."""
        return MMGP.accepts(problem)

    @classmethod
    def from_problem(cls, problem: MeshProblem, config: NearestPartConfig | None = None, seed: int = 0) -> Self:
        """An untrained learner of a problem's fields and scalars; raises `LearnerError` if it does not accept it."""
        refusal = cls.accepts(problem)
        if refusal is not None:
            raise LearnerError(f"{cls.name} cannot learn {getattr(problem, 'name', problem)}: {refusal}")
        settings = config or NearestPartConfig()
        if not settings.ratios and not settings.scales:
            settings = dataclasses.replace(settings, ratios=problem.ratios, scales=problem.scales)
        return cls(PartFamily.of(problem), settings, seed, problem=problem)

    def fit(
        self, training: Sequence[Mesh], validation: Sequence[Mesh] | None = None, progress: Advance | None = None
    ) -> FitReport:
        """Keep meshes with fields and scalars, which are read one by one; parameters and errors as of `MMGP.fit`."""
        if not len(training):
            raise LearnerError("no training samples: expected at least 3, as a rule some hundred.")
        samples: Sequence[Mesh] = training if self.mirror is None else WithMirrorImages(training, self.mirror)
        groups = torch.arange(len(samples)) % len(training)
        settings = self.config.stages
        morphing = named_morphing(settings.morphing, training[0])
        seen, family = Similar(samples, self._similarity), self._similarity.family(self.family)
        self._model, report = train_nearest(seen, groups, family, morphing, settings, self.seed, progress)
        return report

    @property
    def model(self) -> NearestModel:
        """What is kept; raises `LearnerError` before `fit`."""
        if self._model is None:
            raise LearnerError("this learner has not been trained: call fit first.")
        return self._model

    def predict(self, meshes: Sequence[Mesh]) -> list[MeshPrediction]:
        """Fields and scalars of meshes of the family, with standard deviations; errors as of `MMGP.predict`."""
        units = []
        for number, mesh in enumerate(meshes):
            with in_sample(number):
                units.append(self._similarity.units(mesh))
        found = predict_all(self.model, Similar(meshes, self._similarity), units)
        return [dataclasses.replace(one, mesh=mesh) for one, mesh in zip(found, meshes, strict=True)]

    def evaluate(self, meshes: Sequence[Mesh]) -> dict[str, float]:
        """Errors on meshes that hold the truth, ``metric.name``, as of `MMGP.evaluate`."""
        return errors_of(self.predict(meshes), meshes, self.family)

    @property
    def parameter_count(self) -> int:
        """Numbers that are kept."""
        return self.model.parameters()

    def save(self, directory: Path | str) -> None:
        """Write ``learner.json``, ``weights.safetensors`` and ``reference.h5``, each atomically."""
        description: dict[str, Any] = {
            "schema": SCHEMA,
            "learner": self.name,
            "config": dataclasses.asdict(self.config),
            "family": dataclasses.asdict(self.family),
            "mirror": None if self.mirror is None else dataclasses.asdict(self.mirror),
            "seed": self.seed,
            "problem": None if self.problem is None else describe_problem(self.problem),
        }
        write_learner(Path(directory), description, self.model)

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """A trained learner that `save` wrote; raises `RunError` if the directory holds none."""
        told = read_description(Path(directory), cls.name, SCHEMA)
        mirror = None if told["mirror"] is None else configure(Mirror, told["mirror"])
        problem = None if told["problem"] is None else rebuild_mesh_problem(told["problem"])
        config = configure(NearestPartConfig, told["config"])
        learner = cls(configure(PartFamily, told["family"]), config, told["seed"], mirror, problem)
        seen = learner._similarity.family(learner.family)
        learner._model = NearestModel.of(read_model(Path(directory), seen, config.stages, told["model"]))
        return learner

    @property
    def _similarity(self) -> Similarity:
        return MMGP(self.family, self.config.stages).similarity
