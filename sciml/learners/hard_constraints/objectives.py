"""What learners with a constraint minimise: the residual that it leaves, and errors where there are labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.constraint_config import Constraint
from sciml.learners.hard_constraints.residual_size import Norm, relative_size, residual_mean_square
from sciml.learners.hard_constraints.termwise_fields import TermwiseFields

__all__ = ["AssembledResidual", "ConstraintObjective", "Labelled", "Leftover", "SolvedResidual", "on_all_samples"]

Basis = Callable[[nn.Module, dict[str, Tensor]], Tensor]
#: Relative size ``(B,)`` of what a constrained field leaves of the residual.
Leftover = Callable[[TermwiseFields, Batch, ConstrainedField], Tensor]


@dataclass(frozen=True)
class ConstraintObjective:
    """Mean over the samples of the residual's relative size; the basis comes from a network.

    Parameters
    ----------
    fields
        The problem.
    basis
        Functions ``(B, N, *shape)`` of the network for a batch.
    constraint
        Solves for the weights.
    leftover
        `SolvedResidual` or `AssembledResidual`.
    """

    fields: TermwiseFields
    basis: Basis
    constraint: Constraint
    leftover: Leftover

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """The loss of a batch."""
        loss, _ = self.with_field(module, batch, generator)
        return loss

    def with_field(
        self, module: nn.Module, batch: dict[str, Tensor], generator: Generator
    ) -> tuple[Tensor, ConstrainedField]:
        """The loss of a batch, and the field that has it."""
        inputs = self.fields.inputs_of(batch)
        basis = self.basis(module, batch)
        field = self.constraint(self.fields.residual(inputs), basis, self.fields.offset(inputs), None, generator)
        return self.leftover(self.fields, inputs, field).mean(), field


@dataclass(frozen=True)
class SolvedResidual:
    """The least squares' own objective: by the envelope theorem its gradient needs no adjoint."""

    def __call__(self, fields: TermwiseFields, inputs: Batch, field: ConstrainedField) -> Tensor:
        return relative_size(2 * field.objective().mean(1), field.values)


@dataclass(frozen=True)
class AssembledResidual:
    """The residual of the field that experts make together: it sees the jumps between them.

    Parameters
    ----------
    norm
        ``error`` or ``plain``.
    """

    norm: Norm

    def __call__(self, fields: TermwiseFields, inputs: Batch, field: ConstrainedField) -> Tensor:
        size = residual_mean_square(fields.residual(inputs), field.values, self.norm)
        return relative_size(size, field.values)


@dataclass(frozen=True)
class Labelled:
    """The residual of all samples, and ``weight`` times the relative L² error of those that are labelled.

    Parameters
    ----------
    unlabelled
        The residual's part.
    weight
        Of the errors.
    """

    unlabelled: ConstraintObjective
    weight: float

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """The loss of a batch, whose ``labelled`` says which ``target`` may be read."""
        loss, field = self.unlabelled.with_field(module, batch, generator)
        known = batch["labelled"] > 0
        if not bool(known.any()):
            return loss
        error = relative_l2(field.values[known].unsqueeze(1), batch["target"][known])
        return loss + self.weight * error.nansum() / len(known)


@dataclass(frozen=True)
class _OnAllSamples:
    loss: Callable[[nn.Module, dict[str, Tensor], Generator], Tensor]

    def __call__(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        return self.loss(module, {name: _of_all_processes(array) for name, array in batch.items()}, generator)


def on_all_samples(
    loss: Callable[[nn.Module, dict[str, Tensor], Generator], Tensor],
) -> Callable[[nn.Module, dict[str, Tensor], Generator], Tensor]:
    """A loss that sees the samples of all processes on each of them: what they share then is not the samples."""
    return _OnAllSamples(loss)


def _of_all_processes(array: Tensor) -> Tensor:
    if not dist.is_initialized():
        return array
    parts = [torch.empty_like(array) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, array.contiguous())
    return torch.cat(parts)
