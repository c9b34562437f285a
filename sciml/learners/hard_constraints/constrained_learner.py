"""What all learners with a constraint share: they solve for the weights of their basis whenever they predict."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from pde_benchmarks.problem import Batch, Problem
from sciml.capabilities import Capabilities, Offer, elliptic
from sciml.errors import ConfigurationError
from sciml.learner import Learner, Prediction
from sciml.learners.hard_constraints.boxes import Boxes
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.constraint_config import Constraint, ConstraintConfig
from sciml.learners.hard_constraints.constraint_metrics import averaged, residual_numbers, solve_numbers
from sciml.learners.hard_constraints.routers import BoxRouter
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields
from solvers.status import Status

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["ConstrainedLearner", "Solved"]

ROWS = 8


@dataclass(frozen=True)
class Solved:
    """Constrained fields of some samples, with what they were made of.

    Attributes
    ----------
    first
        Number of the first sample.
    inputs, basis, field
        Of these samples.
    """

    first: int
    inputs: Batch
    basis: Tensor
    field: ConstrainedField


class ConstrainedLearner(Learner):
    """A basis of functions, and a constraint that combines them so that the equation is satisfied."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        resolution_change=Offer(where=elliptic), no_labels=Offer(), processes=Offer()
    )
    config: ConstraintConfig

    def __init__(self, problem: Problem, config: ConstraintConfig) -> None:
        super().__init__(problem, config)
        self.fields = TermwiseFields.of(problem)
        self.time_first = self.fields.time_first()
        self.router = config.router(self.fields.grid.shape, self.time_first)
        self.constraint: Constraint = config.constraint(self.router)

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """One field on a grid, and an equation that is known term by term."""
        return TermwiseFields.refusal(problem)

    def require_rows(self, functions: int) -> None:
        """Raise `ConfigurationError` if a solve on the grid of training has fewer rows than unknowns."""
        shape, conditions = self.fields.grid.shape, self.fields.residual(self.fields.probe()).global_rows.flatten()
        apart = self.router is not None and self.config.coupling == "independent"
        boxes = self.router.boxes(shape) if self.router is not None and apart else Boxes.whole(shape)
        together = 1 if self.router is None or apart else len(self.router.extents(shape))
        rows = self.config.layer().norm.fewest(conditions, boxes)
        if together * functions > rows:
            of_each = f" for each of {together} coupled experts" if together > 1 else ""
            raise ConfigurationError(
                f"{self.name}: {functions} basis functions{of_each}, but a solve on the grid {shape} has {rows} rows: "
                f"use fewer functions or experts, {'more points, ' if self.config.points else ''}or a finer grid."
            )

    @abstractmethod
    def basis(self, inputs: Batch) -> Tensor:
        """The functions ``(B, N, *shape)`` for these inputs, float64; zero where the offset is right already."""

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = ROWS) -> Prediction:
        """The constrained fields, on the grid of the inputs.

        A sample whose solve does not converge keeps the last weights that its solver accepted; a warning names it.

        Raises
        ------
        LearnerError
            If a field has another number of axes, or holds NaN.
        ConfigurationError
            If the experts do not fit the grid.
        """
        (given, *_) = inputs.values()
        solved = list(self.solved(inputs, batch_size))
        _warn_of_failures(solved, inputs.count)
        empty = given.new_zeros(0, *given.shape[2:])
        values = torch.cat([empty, *(part.field.values.to(given) for part in solved)])
        return Prediction(Batch({self.fields.output.name: values.unsqueeze(1)}))

    @torch.no_grad()
    def solved(self, inputs: Batch, batch_size: int = ROWS) -> Iterator[Solved]:
        """The constrained fields, some samples at a time, on the learner's device."""
        seen = self.fields.checked(inputs)
        self.module.eval()
        device = next((p.device for p in self.module.parameters()), next(iter(seen.values())).device)
        for first in range(0, seen.count, batch_size):
            rows = seen.rows(slice(first, first + batch_size)).to(device, torch.float64)
            basis = self.basis(rows)
            constraint = self._constraint_on(tuple(basis.shape[2:]))
            generator = torch.Generator(device).manual_seed(0)
            field = constraint(self.fields.residual(rows), basis, self.fields.offset(rows), None, generator)
            yield Solved(first, rows, basis, field)

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """The problem's metrics, then how large the residual is, and how the solves went."""
        name = self.fields.output.name
        parts, numbers = [dataset.outputs[name][:0]], []
        for part in self.solved(dataset.inputs):
            router = self._router_on(tuple(part.basis.shape[2:]))
            boxes = None if router is None else router.boxes(tuple(part.basis.shape[2:]), part.basis.device)
            numbers.append(
                residual_numbers(self.fields, part.inputs, part.field.values)
                | solve_numbers(part.field, part.basis, boxes)
            )
            parts.append(part.field.values.unsqueeze(1).to(parts[0]))
        prediction = Prediction(Batch({name: torch.cat(parts)})).mean
        return self.problem.metrics(prediction, dataset.outputs) | averaged(numbers)

    def _router_on(self, shape: tuple[int, ...]) -> BoxRouter | None:
        same = shape == self.fields.grid.shape
        return self.router if same else self.config.router(shape, self.time_first)

    def _constraint_on(self, shape: tuple[int, ...]) -> Constraint:
        same = shape == self.fields.grid.shape
        return self.constraint if same else self.config.constraint(self._router_on(shape))


def _warn_of_failures(solved: list[Solved], count: int) -> None:
    failed = [
        part.first + sample
        for part in solved
        for sample in (part.field.status != Status.CONVERGED).any(1).nonzero().flatten().tolist()
    ]
    if failed:
        listed = ", ".join(map(str, failed[:10])) + (", …" if len(failed) > 10 else "")
        warnings.warn(
            f"constraint: the solves of {len(failed)} of {count} samples did not converge (samples {listed}): they "
            "keep the last accepted weights; check their residual, use fewer functions, or a larger ridge.",
            RuntimeWarning,
            stacklevel=3,
        )
