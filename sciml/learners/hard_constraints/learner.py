"""The learner whose predictions satisfy the equation by construction: a network gives functions, a solve their sum."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from pde_benchmarks.problem import Batch, Problem
from pde_benchmarks.termwise import TermwiseResidual
from sciml.errors import ConfigurationError
from sciml.learners.grid_learner import require_at_least
from sciml.learners.hard_constraints.basis import ClosedForms, LearnedBasis, LearnedWithClosedForms
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.constrained_learner import ConstrainedLearner
from sciml.learners.hard_constraints.constraint_config import Constraint, ConstraintConfig
from sciml.learners.hard_constraints.networks import basis_network
from sciml.learners.hard_constraints.objectives import (
    AssembledResidual,
    ConstraintObjective,
    Labelled,
    SolvedResidual,
    on_all_samples,
)
from sciml.training.trainer import Loss

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["HardConstraintConfig", "HardConstraintLearner"]


@dataclass(frozen=True)
class HardConstraintConfig(ConstraintConfig):
    """A learned basis, and how its weights are found.

    Parameters
    ----------
    network
        ``fno``, ``mlp``, ``multionet`` or ``mgno``.
    functions
        Number of functions that the network gives.
    closed_forms
        Add the problem's closed forms to them.
    channels, layers
        Width and depth of the network; None: what suits its kind.
    labels, label_weight
        How many of the training samples have solutions, and the weight of the relative error there; the solutions of
        the others are never read.
    parallel
        What the processes of ``torchrun`` share in training: ``samples``, or the ``experts``.
    """

    network: str = "fno"
    functions: int = 16
    closed_forms: bool = True
    channels: int | None = None
    layers: int | None = None
    labels: int = 0
    label_weight: float = 1.0
    parallel: Literal["samples", "experts"] = "samples"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, labels=self.labels, label_weight=self.label_weight)
        require_at_least(1, functions=self.functions)
        if self.parallel not in ("samples", "experts"):
            raise ConfigurationError(f"parallel = {self.parallel!r}: use one of samples, experts.")


class HardConstraintLearner(ConstrainedLearner):
    """Basis functions of a network, combined in every sample so that the equation is satisfied; no labels needed.

    Négiar, Mahoney, Krishnapriyan 2022; Chalapathi, Du, Krishnapriyan 2024 (mixture of experts). The module is the
    network alone, coordinates ``(B, C, *shape)`` to functions ``(B, functions, *shape)``: any other of this kind may
    take its place.
    """

    name: ClassVar[str] = "hard-constraint"
    config_type: ClassVar[type] = HardConstraintConfig
    training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "batch_size": 6,
        "warmup": 0.05,
        "final_fraction": 1e-2,
        "clip_norm": 1.0,
    }
    config: HardConstraintConfig

    def __init__(self, problem: Problem, config: HardConstraintConfig) -> None:
        super().__init__(problem, config)
        probe = self.fields.probe()
        self.require_rows(config.functions + (self.fields.closed_forms(probe).shape[1] if config.closed_forms else 0))
        self.module = basis_network(
            config.network,
            self.fields.coordinates(probe).shape[1],
            config.functions,
            self.fields.grid,
            config.channels,
            config.layers,
        )
        learned = LearnedBasis(self.fields, config.functions)
        self.rule = LearnedWithClosedForms(learned, ClosedForms(self.fields)) if config.closed_forms else learned
        self.training_constraint = self.constraint
        if config.parallel == "experts":
            self.training_constraint = _Shared(self.constraint, config.over_processes(self.router))

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the inputs of ``dataset``, and on the solutions of its first `labels` samples.

        Raises
        ------
        ConfigurationError
            If there are fewer samples than ``labels``.
        """
        began = time.perf_counter()
        labels = self.config.labels
        if labels > dataset.count:
            raise ConfigurationError(
                f"labels = {labels}: there are only {dataset.count} training samples; give at most that."
            )
        arrays = self._arrays(self.fields.checked(dataset.inputs))
        if labels:
            target = dataset.outputs[self.fields.output.name].to(torch.float64).clone()
            target[labels:] = 0
            arrays |= {"target": target, "labelled": (torch.arange(dataset.count) < labels).to(torch.uint8)}
        spent = time.perf_counter() - began
        return trainer.fit(self.module, self.objective(), arrays, lambda: self._error(validation), spent=spent)

    def objective(self) -> Loss:
        """What is minimised: the residual that the constraint leaves, in its own norm, and errors at labels."""
        config = self.config
        apart = self.router is not None and config.coupling == "independent"
        leftover = AssembledResidual(config.norm) if apart else SolvedResidual()
        residual = ConstraintObjective(self.fields, self.rule, self.training_constraint, leftover)
        loss: Loss = Labelled(residual, config.label_weight) if config.labels else residual
        return on_all_samples(loss) if config.parallel == "experts" else loss

    @torch.no_grad()
    def basis(self, inputs: Batch) -> Tensor:
        """The functions of the network, then the closed forms."""
        return self.rule(self.module, self._arrays(inputs))

    def _arrays(self, inputs: Batch) -> dict[str, Tensor]:
        arrays = self.fields.prepared(inputs)
        if self.config.closed_forms:
            arrays["closed_forms"] = self.fields.prepared_forms(inputs)
        return arrays

    def _error(self, validation: Dataset) -> float:
        parts = [part.field.values for part in self.solved(validation.inputs)]
        name = self.fields.output.name
        truth = validation.outputs[name]
        prediction = Batch({name: torch.cat(parts).unsqueeze(1).to(truth)})
        return self.problem.metrics(prediction, validation.outputs)["relative_l2"]


@dataclass(frozen=True)
class _Shared:
    """A constraint whose experts are shared by all processes, once there are several."""

    alone: Constraint
    together: Constraint

    def __call__(
        self,
        residual: TermwiseResidual,
        basis: Tensor,
        offset: Tensor,
        start: Tensor | None = None,
        generator: Generator | None = None,
    ) -> ConstrainedField:
        chosen = self.together if dist.is_initialized() else self.alone
        return chosen(residual, basis, offset, start, generator)
