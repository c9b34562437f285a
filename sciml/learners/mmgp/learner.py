"""The mesh morphing Gaussian process as a learner: fitted to meshes with fields and scalars, asked about new meshes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from meshes.mesh import Mesh
from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.mesh_steps import split_step
from pde_benchmarks.registry import configure, describe_problem, rebuild_mesh_problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import LearnerError
from sciml.learners.mmgp.active_learning import Suggestion, suggest_next
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.evaluation import errors_of
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.model import Model
from sciml.learners.mmgp.morphed import Morphing
from sciml.learners.mmgp.morphings import named_morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.predicting import inputs_of, predict_all
from sciml.learners.mmgp.prediction import MeshPrediction
from sciml.learners.mmgp.report import FitReport
from sciml.learners.mmgp.similarity import Similar, Similarity
from sciml.learners.mmgp.storage import read_description, read_model, write_learner
from sciml.learners.mmgp.symmetry import Mirror, WithMirrorImages
from sciml.learners.mmgp.training import train

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["MMGP"]

SCHEMA = 1


class MMGP:
    """Fields and scalars of parts of varying shape, each on its own mesh, with error bars (Casenave et al. 2023).

    Every mesh is morphed onto one reference shape; coordinates and fields are interpolated onto one common mesh and
    reduced by proper orthogonal decomposition; Gaussian processes map shape coefficients and given scalars to the
    coefficients of the fields and to the scalars that are asked for; and the way back ends at the nodes of the mesh.

    Parameters
    ----------
    family
        Names of what is given and what is predicted.
    config
        Settings.
    seed
        Of the search for hyper-parameters and of the folds.
    morphing
        A morphing of your own in place of the one that the configuration names.
    mirror
        Parts of which the mirror image of each sample is a sample, too: the training set is doubled.
    problem
        The problem that the family is from.

    Examples
    --------
    Bars of varying height (seen in the mesh) under a varying load (given): the deflection is load · x² / height³.

    >>> import numpy as np
    >>> from meshes import structured_grid, to_simplices
    >>> from meshes.morphing import mark_corners
    >>> corners = tuple(f"corner_{i}" for i in range(4))
    >>> def bar(height, load, cells=8):
    ...     x, y = np.linspace(0, 4, 3 * cells), np.linspace(0, height, cells)
    ...     mesh = mark_corners(to_simplices(structured_grid(x, y)))
    ...     deflection = load * mesh.points[:, 0] ** 2 / height**3
    ...     return dataclasses.replace(mesh, point_data={"w": deflection}, global_data={"load": load})
    >>> rng = np.random.default_rng(0)
    >>> drawn = zip(rng.uniform(1, 1.5, 40), rng.uniform(1, 2, 40), rng.integers(6, 12, 40))
    >>> bars = [bar(*numbers) for numbers in drawn]
    >>> learner = MMGP.from_meshes(bars, fields=("w",), input_scalars=("load",), landmarks=corners)
    >>> (answer,) = learner.predict([bar(1.2, 1.5, cells=10)])
    >>> truth = bar(1.2, 1.5, cells=10).point_data["w"]
    >>> bool(np.abs(answer.mean["w"].numpy() - truth).max() < 0.02 * truth.max())
    True
    """

    name: ClassVar[str] = "mmgp"
    capabilities: ClassVar[Capabilities] = Capabilities(
        uncertainty=Offer(), unstructured_mesh=Offer(), resolution_change=Offer()
    )
    config_type: ClassVar[type[MMGPConfig]] = MMGPConfig

    def __init__(
        self,
        family: PartFamily,
        config: MMGPConfig | None = None,
        seed: int = 0,
        morphing: Morphing | None = None,
        mirror: Mirror | None = None,
        problem: MeshProblem | None = None,
    ) -> None:
        self.family = family
        self.config = config or MMGPConfig()
        self.seed = seed
        self.morphing = morphing
        self.mirror = mirror
        self.problem = problem
        self._model: Model | None = None
        self.report: FitReport | None = None

    @classmethod
    def accepts(cls, problem: object) -> str | None:
        """None if this learner can learn ``problem``, else one sentence that says why not."""
        if not isinstance(problem, MeshProblem):
            return "it learns parts on meshes of varying shape, and this problem has none."
        if not problem.fields and not problem.scalars:
            return "the problem has neither fields nor scalars to predict."
        return None

    @classmethod
    def from_problem(cls, problem: MeshProblem, config: MMGPConfig | None = None, seed: int = 0) -> Self:
        """An untrained learner of a problem's fields and scalars, with its ratios and scales if none are set.

        Raises
        ------
        LearnerError
            If the learner does not accept the problem.
        """
        refusal = cls.accepts(problem)
        if refusal is not None:
            raise LearnerError(f"{cls.name} cannot learn {getattr(problem, 'name', problem)}: {refusal}")
        settings = config or MMGPConfig()
        if not settings.ratios and not settings.scales:
            settings = dataclasses.replace(settings, ratios=problem.ratios, scales=problem.scales)
        return cls(PartFamily.of(problem), settings, seed, problem=problem)

    @classmethod
    def from_meshes(
        cls,
        training: Sequence[Mesh],
        fields: Sequence[str] = (),
        input_scalars: Sequence[str] = (),
        output_scalars: Sequence[str] = (),
        landmarks: Sequence[str] = (),
        vectors: Sequence[tuple[str, ...]] = (),
        config: MMGPConfig | None = None,
        seed: int = 0,
        mirror: Mirror | None = None,
        progress: Advance | None = None,
    ) -> Self:
        """A learner trained on meshes of your own; for names see `PartFamily`, for errors `fit`."""
        family = PartFamily(
            tuple(fields), tuple(input_scalars), tuple(output_scalars), tuple(landmarks), tuple(vectors)
        )
        learner = cls(family, config, seed, mirror=mirror)
        learner.fit(training, progress=progress)
        return learner

    def fit(
        self, training: Sequence[Mesh], validation: Sequence[Mesh] | None = None, progress: Advance | None = None
    ) -> FitReport:
        """Learn from meshes with fields and scalars, which are read one by one.

        Parameters
        ----------
        training
            Meshes in memory, or a `meshes.MeshSet` on the disk.
        validation
            Not needed: error bars come from training samples that are left out in turn.
        progress
            Told the fraction that is done and the name of the stage.

        Raises
        ------
        LearnerError, MeshError, MorphingError
            Samples that cannot be used, by number, or too few of them.

        Warns
        -----
        MMGPWarning
            What looks like a mistake: other units, copies, few samples.
        """
        count = len(training)
        samples: Sequence[Mesh] = training if self.mirror is None else WithMirrorImages(training, self.mirror)
        family = self.similarity.family(self.family)
        samples = Similar(samples, self.similarity)
        groups = torch.arange(len(samples)) % max(1, count)
        if not count:
            raise LearnerError("no training samples: expected at least 3, as a rule some hundred.")
        morphing = self.morphing or named_morphing(self.config.morphing, training[0])
        self._model, self.report = train(samples, groups, family, morphing, self.config, self.seed, progress)
        return self.report

    @property
    def model(self) -> Model:
        """What has been learnt.

        Raises
        ------
        LearnerError
            Nothing yet.
        """
        if self._model is None:
            raise LearnerError("this learner has not been trained: call fit first.")
        return self._model

    def predict(self, meshes: Sequence[Mesh]) -> list[MeshPrediction]:
        """Fields and scalars of meshes of the family, with standard deviations.

        Raises
        ------
        LearnerError, MeshError, MorphingError
            A mesh of another topology, without a landmark or a given scalar; the message names its number.

        Warns
        -----
        MMGPWarning
            Scalars outside the training range, foreign shapes, very coarse meshes; also in the prediction's notes.
        """
        units = []
        for number, mesh in enumerate(meshes):
            with in_sample(number):
                units.append(self.similarity.units(mesh))
        predictions = predict_all(self.model, self._seen(meshes), units)
        return [dataclasses.replace(found, mesh=mesh) for found, mesh in zip(predictions, meshes, strict=True)]

    @property
    def similarity(self) -> Similarity:
        """Ratios and units of the configuration; the unit of a series is that of its steps."""
        scales = self.config.scales
        heads = {name: split_step(name) for name in self.family.fields + self.family.output_scalars}
        steps = {name: scales[found[0]] for name, found in heads.items() if found and found[0] in scales}
        series = {found[0] for found in heads.values() if found}
        return Similarity(self.config.ratios, {**steps, **{n: unit for n, unit in scales.items() if n not in series}})

    def _seen(self, meshes: Sequence[Mesh]) -> Similar:
        return Similar(meshes, self.similarity)

    def evaluate(self, meshes: Sequence[Mesh]) -> dict[str, float]:
        """Errors on meshes that hold the truth: ``metric.name`` as in `pde_benchmarks.mesh_metrics`.

        ``rrmse``, ``relative_l2``, ``q2`` and ``coverage_95`` of fields, ``rrmse``, ``q2`` and ``coverage_95`` of
        scalars, and ``foreign_share``, how many of the shapes look foreign.

        Raises
        ------
        LearnerError, MeshError, MorphingError
            As `predict`, and if a mesh lacks a truth.
        """
        return errors_of(self.predict(meshes), meshes, self.family)

    def suggest(self, pool: Sequence[Mesh], count: int = 1) -> Suggestion:
        """Which meshes of a pool (with their given scalars) to simulate next; raises as `predict`."""
        if not len(pool) or count < 1:
            raise LearnerError(f"{count} suggestions from a pool of {len(pool)}: expected at least one of both.")
        return suggest_next(self.model, inputs_of(self.model, self._seen(pool)), count)

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt."""
        return self.model.parameters()

    def description(self) -> dict[str, Any]:
        """Everything but tensors and the reference mesh, ready for JSON."""
        return {
            "schema": SCHEMA,
            "learner": self.name,
            "config": dataclasses.asdict(self.config),
            "family": dataclasses.asdict(self.family),
            "mirror": None if self.mirror is None else dataclasses.asdict(self.mirror),
            "seed": self.seed,
            "problem": None if self.problem is None else describe_problem(self.problem),
        }

    def save(self, directory: Path | str) -> None:
        """Write ``learner.json``, ``weights.safetensors`` and ``reference.h5``, each atomically.

        Raises
        ------
        LearnerError
            Nothing has been learnt yet, or the morphing is of another package.
        """
        report = None if self.report is None else self.report.summary()
        write_learner(Path(directory), {**self.description(), "report": report}, self.model)

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """A trained learner that `save` wrote; its report is not read back.

        Raises
        ------
        RunError
            The directory holds no such learner, or one of a newer version.
        """
        told = read_description(Path(directory), cls.name, SCHEMA)
        family = configure(PartFamily, told["family"])
        mirror = None if told["mirror"] is None else configure(Mirror, told["mirror"])
        problem = None if told["problem"] is None else rebuild_mesh_problem(told["problem"])
        learner = cls(family, configure(MMGPConfig, told["config"]), told["seed"], mirror=mirror, problem=problem)
        seen = learner.similarity.family(family)
        learner._model = read_model(Path(directory), seen, learner.config, told["model"])
        return learner
