"""The regression from shape coefficients and scalars to coefficients of fields and scalars, fitted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Generator

from sciml.errors import LearnerError
from sciml.learners.mmgp.bases import Bases
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.faults import MMGPWarning
from sciml.learners.mmgp.gaussian_processes import (
    GaussianProcesses,
    Identity,
    Transform,
    choose_transforms,
    fit_gaussian_processes,
)
from sciml.learners.mmgp.inputs import InputColumns
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.training_table import TrainingTable

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["Fitted", "regress"]


@dataclass(frozen=True)
class Fitted:
    """The regression with what it was fitted to.

    Attributes
    ----------
    columns, inputs, processes
        What its columns mean, what it sees, and itself.
    table
        Scalars of the training set, those to predict on their own scales.
    transforms
        To these scales.
    """

    columns: Columns
    inputs: InputColumns
    table: TrainingTable
    transforms: tuple[Transform, ...]
    processes: GaussianProcesses


def regress(
    bases: Bases, table: TrainingTable, family: PartFamily, config: MMGPConfig, seed: int, progress: Advance
) -> Fitted:
    """Choose the scalars' scales, then fit all columns at once.

    Raises
    ------
    LearnerError
        There is nothing to learn.

    Warns
    -----
    MMGPWarning
        Few samples for so many inputs.
    """
    columns = bases.columns(family.output_scalars)
    inputs = InputColumns.of(bases.shape.coefficients, table.inputs, family.input_scalars)
    x = inputs(bases.shape.coefficients, table.inputs)
    _check_counts(len(x), x.shape[1], columns)
    transforms: tuple[Transform, ...] = tuple(Identity() for _ in family.output_scalars)
    settings = config.gaussian_processes
    if config.scalar_transforms == "chosen" and family.output_scalars:
        choices = choose_transforms(x, table.outputs, settings, Generator().manual_seed(seed))
        transforms = tuple(choice.transform for choice in choices)
    outputs = [t.forward(column)[:, None] for t, column in zip(transforms, table.outputs.mT, strict=True)]
    targets = torch.cat([*(found.coefficients for found in bases.blocks.values()), *outputs], dim=1)
    processes = fit_gaussian_processes(x, targets, settings, Generator().manual_seed(seed), progress)
    scaled = TrainingTable(table.inputs, torch.cat([table.outputs[:, :0], *outputs], dim=1), {}, {})
    return Fitted(columns, inputs, scaled, transforms, processes)


def _check_counts(samples: int, inputs: int, columns: Columns) -> None:
    if not columns.count:
        raise LearnerError(
            "all fields are the same in all samples, and no scalar is predicted: there is nothing to learn; check that "
            "the files hold different cases."
        )
    if samples < 2 * inputs:
        warnings.warn(
            f"{samples} samples for {inputs} inputs of the regression (shape modes and scalars): expected twice as "
            "many samples at least; give more, or fewer shape modes.",
            MMGPWarning,
            stacklevel=5,
        )
