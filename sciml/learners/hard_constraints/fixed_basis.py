"""The learner that learns nothing: the problem's closed forms, combined by the same constraint."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from pde_benchmarks.problem import Batch, Problem
from sciml.capabilities import Capabilities
from sciml.learners.hard_constraints.basis import ClosedForms
from sciml.learners.hard_constraints.constrained_learner import ConstrainedLearner
from sciml.learners.hard_constraints.constraint_config import ConstraintConfig
from sciml.learners.hard_constraints.residual_size import relative_size
from sciml.training import History

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import Trainer

__all__ = ["FixedBasisConfig", "FixedBasisLearner"]

TRAINING_SAMPLES = 8


@dataclass(frozen=True)
class FixedBasisConfig(ConstraintConfig):
    """How the weights of the closed forms are found: four coupled experts, if not told otherwise."""

    experts: int | str = 4


class FixedBasisLearner(ConstrainedLearner):
    """Closed forms of the problem, combined in every sample so that the equation is satisfied: no network, no training.

    What a learned basis has to beat.
    """

    name: ClassVar[str] = "fixed-basis"
    capabilities: ClassVar[Capabilities] = replace(ConstrainedLearner.capabilities, processes=None)
    config_type: ClassVar[type] = FixedBasisConfig
    config: FixedBasisConfig

    def __init__(self, problem: Problem, config: FixedBasisConfig) -> None:
        super().__init__(problem, config)
        self.require_rows(self.fields.closed_forms(self.fields.probe()).shape[1])
        self.module = nn.Module()
        self.rule = ClosedForms(self.fields)

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Nothing to learn: the history has one row, after no step, with the error on ``validation``.

        Its loss is the relative residual of some samples of ``dataset``, whose solutions are not read.
        """
        history = History()
        began = time.perf_counter()
        sizes = [
            relative_size(2 * part.field.objective().mean(1), part.field.values)
            for part in self.solved(dataset.inputs.rows(slice(0, TRAINING_SAMPLES)))
        ]
        loss = float(torch.cat(sizes).mean())
        seconds = time.perf_counter() - began
        error = self.evaluate(validation)["relative_l2"]
        history.add(step=0, seconds=seconds, learning_rate=0.0, train_loss=loss, validation_error=error)
        return history

    def labels_read(self, samples: int) -> int:
        """None."""
        return 0

    @torch.no_grad()
    def basis(self, inputs: Batch) -> Tensor:
        """The closed forms."""
        return self.rule(self.module, {**inputs, "closed_forms": self.fields.closed_forms(inputs)})
