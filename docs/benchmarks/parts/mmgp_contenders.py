"""Who predicts the fields of new parts: MMGP in several settings, and the nearest training sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from meshes import Mesh
from pde_benchmarks.mesh_problem import MeshProblem
from pde_benchmarks.shape_measures import SHAPE_MEASURES
from sciml.learners.mmgp import MMGP, MeshPrediction, MMGPConfig
from sciml.learners.mmgp.gaussian_processes import GaussianPrediction
from sciml.learners.mmgp.similarity import monomial

__all__ = ["left_out_error", "nearest", "release", "settings", "trained"]


def settings(problem: MeshProblem) -> dict[str, MMGPConfig]:
    """What is tried on the training samples of the first split: the smallest left-out error is used on all splits."""
    found = {
        "default": MMGPConfig(),
        "more modes": MMGPConfig(shape_energy=2e-3, field_energy=5e-3, most_modes=60),
    }
    if problem.ratios or problem.scales:
        found["scalars as they are"] = MMGPConfig(ratios=tuple(spec.name for spec in problem.inputs))
    plain = tuple(text for text in problem.ratios if not set(monomial(text)) & set(SHAPE_MEASURES))
    if plain != problem.ratios:
        found["without what is measured of the shape"] = MMGPConfig(ratios=plain, scales=problem.scales)
    return found


def release(problem: MeshProblem) -> MMGPConfig:
    """Weights and ranks of the code that was published with the method (which does not subtract means, as we do)."""
    return MMGPConfig(
        morphing="disc-uniform",
        refinements=0,
        inner_product="reference",
        shape_modes=8,
        field_modes=8,
        scalar_transforms="none",
        heavy_tailed=(),
        ratios=tuple(spec.name for spec in problem.inputs),
    )


def trained(problem: MeshProblem, config: MMGPConfig, train: Sequence[Mesh], seed: int) -> MMGP:
    """One training on one thread."""
    torch.set_num_threads(1)
    learner = MMGP.from_problem(problem, config, seed)
    learner.fit(train)
    return learner


def left_out_error(learner: MMGP, unscored: Sequence[str]) -> float:
    """Mean over fields of the error at samples that were left out; test samples play no part."""
    assert learner.report is not None
    return fmean(report.left_out_rrmse for name, report in learner.report.fields.items() if name not in unscored)


def nearest(learner: MMGP, test: Sequence[Mesh]) -> list[MeshPrediction]:
    """The fields of the training sample whose shape and scalars are nearest, carried by the learner's own morphing."""
    model = replace(learner.model, processes=_Nearest(learner.model.processes))
    other = MMGP(learner.family, learner.config, learner.seed, problem=learner.problem)
    other._model = model
    return [other.predict([mesh])[0] for mesh in test]


@dataclass
class _Nearest:
    """Stands in for Gaussian processes: answers with the targets of the nearest standardised input."""

    processes: Any

    @property
    def noise(self) -> Tensor:
        """Of the processes."""
        return self.processes.noise

    def predict(self, x: Tensor) -> GaussianPrediction:
        """The nearest row of the targets, in the caller's units."""
        own = self.processes
        place = (x - own.input_mean) / own.input_deviation
        row = torch.cdist(place, own.inputs).argmin(1)
        mean = own.target_mean + own.target_deviation * own.targets[row]
        return GaussianPrediction(mean, torch.zeros_like(mean))
