"""From a training set to the model of the nearest part: MMGP's stages without a regression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from meshes.mesh import Mesh
from sciml.learners.mesh_baselines.nearest_model import NearestModel, nearest_other, stored_rows
from sciml.learners.mmgp.bases import Bases, decompose_all
from sciml.learners.mmgp.carrying import Carrier
from sciml.learners.mmgp.common_mesh import carrier_of, central_sample
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.error_bars import _trust
from sciml.learners.mmgp.fold_basis import folds_of
from sciml.learners.mmgp.gaussian_processes import Identity
from sciml.learners.mmgp.inputs import InputColumns
from sciml.learners.mmgp.leave_out import leave_folds_out
from sciml.learners.mmgp.model import FieldModel
from sciml.learners.mmgp.morphed import Morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.regression import Columns
from sciml.learners.mmgp.report import FitReport, fit_report
from sciml.learners.mmgp.residual_variance import QUANTILE, LeftOutField, residual_variance
from sciml.learners.mmgp.stages import Stages
from sciml.learners.mmgp.training_table import TrainingTable, training_table
from sciml.learners.mmgp.transport import Transported, transport
from sciml.learners.mmgp.trust import TrustLimits, upper_quantile
from sciml.learners.mmgp.variants import blocks_of, variants_of

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["train_nearest"]

_SHARES = {"checks": 1, "common mesh": 2, "morphing": 10, "reduction": 1, "left out": 2}


def train_nearest(
    meshes: Sequence[Mesh],
    groups: Tensor,
    family: PartFamily,
    morphing: Morphing,
    config: MMGPConfig,
    seed: int,
    progress: Advance | None = None,
) -> tuple[NearestModel, FitReport]:
    """Bring all samples to a common mesh, keep them, and measure how far each is from its nearest one.

    Parameters
    ----------
    groups
        Number ``(n,)`` of the group of each sample: the nearest sample is sought outside of its own.

    Raises
    ------
    LearnerError, MeshError, MorphingError
        As `sciml.learners.mmgp.training.train`.
    """
    stages = Stages(_SHARES, progress)
    with stages.stage("checks") as told:
        table = training_table(meshes, family, told)
    variants = variants_of(family.blocks(config.steps), {})
    with stages.stage("common mesh"):
        prepared = morphing.prepared(meshes, family.landmarks)
        reference = central_sample(meshes, prepared)
        carrier = carrier_of(meshes[reference], prepared, family, config.refinements, config.align)
    with TemporaryDirectory(prefix="nearest-") as folder:
        with stages.stage("morphing") as told:
            carried = transport(meshes, carrier, family, variants, Path(folder), told)
        with stages.stage("reduction"):
            bases = decompose_all(carried, carrier.common.mesh, config, blocks_of(variants))
        with stages.stage("left out"):
            trust = _limits(bases, groups, config.folds, seed)
            model, fields, q2 = _kept(family, carrier, carried, bases, table, trust, groups)
    floors = {name: floor.rrmse for name, floor in carried.floors.items()}
    return model, fit_report(model, fields, floors, q2, reference, stages.seconds)


def _kept(
    family: PartFamily,
    carrier: Carrier,
    carried: Transported,
    bases: Bases,
    table: TrainingTable,
    trust: TrustLimits,
    groups: Tensor,
) -> tuple[NearestModel, dict[str, LeftOutField], Tensor]:
    """The model, how its fields fit samples that were left out, and Q² of its scalars for these ``(q,)``."""
    columns, inputs = bases.columns(family.output_scalars), _inputs(bases, table, family)
    targets = torch.cat([*(found.coefficients for found in bases.blocks.values()), table.outputs], dim=1)
    rows = stored_rows(inputs(bases.shape.coefficients, table.inputs), targets)
    nearest = nearest_other(rows.inputs, groups)
    left_out = {name: _left_out(name, carried, bases, nearest) for name in family.fields}
    deviations, factors, q2 = _scalar_errors(table.outputs, nearest)
    none = torch.zeros(columns.count - len(deviations), dtype=torch.float64)
    fields = {
        name: FieldModel(bases.reduction(name), found.residual, carried.floors[name].variance, found.factor, Identity())
        for name, found in left_out.items()
    }
    model = NearestModel(
        family,
        carrier,
        bases.product,
        bases.shape.reduction,
        fields,
        columns,
        inputs,
        rows,
        torch.cat([none, deviations]).diag(),
        factors,
        tuple(Identity() for _ in family.output_scalars),
        trust,
    )
    return model, left_out, q2


def _inputs(bases: Bases, table: TrainingTable, family: PartFamily) -> InputColumns:
    return InputColumns.of(bases.shape.coefficients, table.inputs, family.input_scalars)


def _left_out(name: str, carried: Transported, bases: Bases, nearest: Tensor) -> LeftOutField:
    """Errors of a field that is taken from the nearest other sample."""
    count, modes = len(nearest), bases.reduction(name).modes
    weights = torch.zeros(count, count, dtype=torch.float64)
    weights[torch.arange(count), nearest] = 1.0
    known = torch.zeros(1, 1, 1, dtype=torch.float64).expand(count, len(modes), len(modes))
    floor = carried.floors[name].variance
    return residual_variance(carried.fields[name], weights, modes, known, floor, carried.probes, name, Identity())


def _scalar_errors(outputs: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviation, conformal factor and Q² of scalars ``(n, q)`` that are taken from the nearest sample."""
    error = outputs[nearest] - outputs
    deviation = error.square().mean(dim=0).sqrt()
    scores = torch.where(error == 0, 0.0, error.abs() / deviation)
    factors = [upper_quantile(column, 0.95) / QUANTILE for column in scores.mT]
    spread = (outputs - outputs.mean(dim=0)).square().sum(dim=0)
    q2 = torch.where(spread > 0, 1 - error.square().sum(dim=0) / spread, 1.0)
    return deviation, torch.tensor(factors, dtype=torch.float64), q2


def _limits(bases: Bases, groups: Tensor, folds: int, seed: int) -> TrustLimits:
    """What shapes are judged by, from training shapes that were left out."""
    count = len(groups)
    nothing = torch.zeros(count, 0, dtype=torch.float64)
    shapes = InputColumns.of(bases.shape.coefficients, nothing, ())

    def ask_nothing(inputs: Tensor, targets: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        return nothing[: len(at)], nothing[: len(at)]

    parts = folds_of(groups, folds, Generator().manual_seed(seed))
    left = leave_folds_out(parts, bases.shape, {}, (shapes, nothing), nothing, Columns({}, ()), ask_nothing)
    return _trust(bases, left)
