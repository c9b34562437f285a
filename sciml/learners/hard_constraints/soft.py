"""The same networks without a constraint: trained on the residual, or on solutions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch, Problem
from sciml.capabilities import Capabilities
from sciml.errors import ConfigurationError
from sciml.learner import Learner, Prediction
from sciml.learners.hard_constraints.basis import LearnedBasis
from sciml.learners.hard_constraints.constraint_metrics import averaged, residual_numbers
from sciml.learners.hard_constraints.learner import HardConstraintLearner
from sciml.learners.hard_constraints.networks import basis_network
from sciml.learners.hard_constraints.residual_size import Norm, relative_size, residual_mean_square
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["SoftConstraintConfig", "SoftConstraintLearner"]

ROWS = 16
Field = Callable[[nn.Module, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class SoftConstraintConfig:
    """A network, and what teaches it.

    Parameters
    ----------
    network
        ``fno``, ``mlp``, ``multionet`` or ``mgno``.
    loss
        ``error`` or ``plain``: the residual in that norm, no labels; ``data``: the relative error against solutions.
    channels, layers
        Width and depth of the network; None: what suits its kind.
    """

    network: str = "fno"
    loss: Literal["error", "plain", "data"] = "error"
    channels: int | None = None
    layers: int | None = None

    def __post_init__(self) -> None:
        if self.loss not in ("error", "plain", "data"):
            raise ConfigurationError(f"loss = {self.loss!r}: use one of error, plain, data.")


class SoftConstraintLearner(Learner):
    """One function of a network, trained so that the residual of offset + envelope · f is small; nothing is solved.

    The same network, norm and recipe as `HardConstraintLearner`, for comparison.
    """

    name: ClassVar[str] = "soft-constraint"
    capabilities: ClassVar[Capabilities] = HardConstraintLearner.capabilities
    config_type: ClassVar[type] = SoftConstraintConfig
    training_defaults: ClassVar[dict[str, Any]] = HardConstraintLearner.training_defaults
    config: SoftConstraintConfig

    def __init__(self, problem: Problem, config: SoftConstraintConfig) -> None:
        super().__init__(problem, config)
        self.fields = TermwiseFields.of(problem)
        channels = self.fields.coordinates(self.fields.probe()).shape[1]
        self.module = basis_network(config.network, channels, 1, self.fields.grid, config.channels, config.layers)
        self.rule = LearnedBasis(self.fields, 1)

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """One field on a grid, and an equation that is known term by term."""
        return TermwiseFields.refusal(problem)

    def labels_read(self, samples: int) -> int:
        """All with ``loss=data``, else none."""
        return samples if self.config.loss == "data" else 0

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the inputs of ``dataset``; with ``loss=data`` on its solutions, too."""
        began = time.perf_counter()
        arrays = self.fields.prepared(self.fields.checked(dataset.inputs))
        objective: _OfResidual | _OfData
        if self.config.loss == "data":
            arrays["target"] = dataset.outputs[self.fields.output.name].to(torch.float64)
            objective = _OfData(self.field)
        else:
            objective = _OfResidual(self.fields, self.field, self.config.loss)
        spent = time.perf_counter() - began
        return trainer.fit(self.module, objective, arrays, lambda: self._error(validation), spent=spent)

    def field(self, module: nn.Module, arrays: dict[str, Tensor]) -> Tensor:
        """offset + envelope · f, ``(B, *shape)``, float64."""
        return self.fields.offset(self.fields.inputs_of(arrays)) + self.rule(module, arrays).squeeze(1)

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = ROWS) -> Prediction:
        """The network's fields, on the grid of the inputs; raises LearnerError for NaN and other numbers of axes."""
        (given, *_) = inputs.values()
        seen = self.fields.checked(inputs)
        self.module.eval()
        device = next(self.module.parameters()).device
        values = [given.new_zeros(0, *given.shape[2:])]
        for first in range(0, seen.count, batch_size):
            rows = seen.rows(slice(first, first + batch_size)).to(device, torch.float64)
            values.append(self.field(self.module, self.fields.prepared(rows)).to(given))
        return Prediction(Batch({self.fields.output.name: torch.cat(values).unsqueeze(1)}))

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """The problem's metrics, then how large the residual is."""
        prediction = self.predict(dataset.inputs).mean
        values = prediction[self.fields.output.name][:, 0]
        seen = self.fields.checked(dataset.inputs)
        parts = [slice(i, i + ROWS) for i in range(0, seen.count, ROWS)]
        numbers = [residual_numbers(self.fields, seen.rows(rows), values[rows]) for rows in parts]
        return self.problem.metrics(prediction, dataset.outputs) | averaged(numbers)

    def _error(self, validation: Dataset) -> float:
        return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]


@dataclass(frozen=True)
class _OfResidual:
    """Mean over the samples of the residual's relative size."""

    fields: TermwiseFields
    field: Field
    norm: Norm

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        field = self.field(module, batch)
        residual = self.fields.residual(self.fields.inputs_of(batch))
        return relative_size(residual_mean_square(residual, field, self.norm), field).mean()


@dataclass(frozen=True)
class _OfData:
    """Mean over the samples of the relative L² error."""

    field: Field

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        return relative_l2(self.field(module, batch).unsqueeze(1), batch["target"]).nanmean()
