"""The equation itself as a teacher, beside labels or without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Batch
from sciml.learners.objectives.objective import field_error
from sciml.learners.objectives.supervised import Supervised, prepared_features
from sciml.learners.symmetries import random_symmetry

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["Physics", "PhysicsInformed"]

Physics = Literal["error", "energy"]

SCALE_SAMPLES = 64


@dataclass(frozen=True)
class PhysicsInformed:
    """The supervised error of the first ``labels`` samples plus ``weight`` times the physics loss of all samples.

    ``error``
        The norm of the error as the equation estimates it: relative L² + H¹ distance between the prediction u and
        u + `Problem.correction`. Derivatives take M A for the identity (M is two V-cycles): the gradient is that of
        the distance to a fixed target, and M need not be differentiated.
    ``energy``
        (uᵀ A u / 2 − uᵀ f) / |E(u_b)| + 1 with the energy E(u_b) of a first guess: to its accuracy the square of
        the relative error in the energy norm.

    The norm decides whether this works: the plain residual weighs oscillating errors by the squares of their wave
    numbers, and a network trained on it learns nothing else.

    Parameters
    ----------
    supervised
        Error, symmetries and field map.
    kind, weight
        Which physics loss, and its weight.
    labels
        Samples whose solution may be looked at.
    """

    supervised: Supervised
    kind: Physics
    weight: float
    labels: int

    @property
    def problem(self) -> EllipticProblem:
        """The problem whose equation teaches."""
        problem = self.supervised.fields.problem
        assert isinstance(problem, EllipticProblem)  # the learner saw to it
        return problem

    def prepare(self, dataset: Dataset) -> dict[str, Tensor]:
        """Features, inputs, targets (zero where there is no label), and which samples are labelled."""
        inputs = dataset.inputs.to(dtype=torch.float32)
        name = self.problem.output.name
        target = dataset.outputs[name].to(torch.float32).clone()
        target[self.labels :] = 0
        labelled = torch.arange(dataset.count) < self.labels
        arrays = prepared_features(self.supervised.fields, inputs)
        return {**arrays, **inputs, "target": target, "labelled": labelled}

    def statistics(self, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As with labels, but from solutions that the equation gives for little: first guesses and their correction."""
        rows = {name: array[:SCALE_SAMPLES] for name, array in arrays.items()}
        inputs = self._inputs(rows)
        guess = self.problem.first_guess(inputs, self.problem.guesses[-1])
        better = self.problem.cycle(inputs, guess, 1)[self.problem.output.name]
        base = rows.get("base")
        return arrays["features"], better if base is None else better - base

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The loss of a batch."""
        fields = {name: array for name, array in batch.items() if name != "labelled"}
        arrays = random_symmetry(fields, generator) if self.supervised.symmetric else fields
        completed = self.supervised.fields.completed
        prediction = completed(arrays, module(arrays["features"]), self.supervised.fields.config.post_cycles)
        total = self.weight * self._physics(arrays, prediction)
        labelled = batch["labelled"]
        if bool(labelled.any()):
            error = self._error(prediction[labelled], arrays["target"][labelled])
            total = total + error.nansum() / len(labelled)
        return total

    def _physics(self, arrays: Mapping[str, Tensor], prediction: Tensor) -> Tensor:
        inputs, name = self._inputs(arrays), self.problem.output.name
        if self.kind == "energy":
            return self.problem.relative_energy(inputs, Batch({name: prediction})).mean()
        with torch.no_grad():
            fixed = Batch({name: prediction.detach()})
            target = fixed[name] + self.problem.correction(inputs, fixed)[name]
        return self._error(prediction, target).nanmean()

    def _error(self, prediction: Tensor, target: Tensor) -> Tensor:
        return field_error(prediction, target, self.supervised.grid.boundary, self.supervised.h1_weight)

    def _inputs(self, arrays: Mapping[str, Tensor]) -> Batch:
        return Batch({spec.name: arrays[spec.name] for spec in self.problem.inputs})
