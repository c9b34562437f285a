"""From a training set to a model: the stages in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from meshes.mesh import Mesh
from sciml.errors import LearnerError
from sciml.learners.mmgp.bases import Bases, decompose_all
from sciml.learners.mmgp.carrying import Carrier
from sciml.learners.mmgp.common_mesh import carrier_of, central_sample
from sciml.learners.mmgp.config import MMGPConfig
from sciml.learners.mmgp.error_bars import ErrorBars, measure_error_bars
from sciml.learners.mmgp.fitted import Fitted, regress
from sciml.learners.mmgp.model import FieldModel, Model
from sciml.learners.mmgp.morphed import Morphing
from sciml.learners.mmgp.parts import PartFamily
from sciml.learners.mmgp.regression import Columns, take_columns
from sciml.learners.mmgp.report import FitReport, fit_report
from sciml.learners.mmgp.stages import Stages
from sciml.learners.mmgp.training_table import TrainingTable, training_table
from sciml.learners.mmgp.transport import Transported, transport
from sciml.learners.mmgp.variants import Variant, best_variants, blocks_of, variants_of

if TYPE_CHECKING:
    from sciml.inference.result import Advance

__all__ = ["train"]

#: Largest value of a field in some sample over the usual one, from which on another scale is tried.
_HEAVY = 4.0
_SHARES = {"checks": 1, "common mesh": 2, "morphing": 10, "reduction": 1, "regression": 8, "left out": 4}


def train(
    meshes: Sequence[Mesh],
    groups: Tensor,
    family: PartFamily,
    morphing: Morphing,
    config: MMGPConfig,
    seed: int,
    progress: Advance | None = None,
) -> tuple[Model, FitReport]:
    """Train on all samples.

    Parameters
    ----------
    groups
        Number ``(n,)`` of the group of each sample, such as a part and its mirror image: error bars are measured by
        leaving out whole groups.

    Raises
    ------
    LearnerError, MeshError, MorphingError
        Samples that cannot be used, or too few of them.

    Warns
    -----
    MMGPWarning
        What looks like a mistake.
    """
    stages = Stages(_SHARES, progress)
    with stages.stage("checks") as told:
        table = training_table(meshes, family, told)
    blocks = family.blocks(config.steps)
    heavy = _heavy_tailed(table, family, config, blocks)
    variants = variants_of(blocks, {b: torch.cat([table.values[name] for name in blocks[b]]) for b in heavy})
    with stages.stage("common mesh"):
        prepared = morphing.prepared(meshes, family.landmarks)
        reference = central_sample(meshes, prepared)
        carrier = carrier_of(meshes[reference], prepared, family, config.refinements, config.align)
    with TemporaryDirectory(prefix="mmgp-") as folder:
        with stages.stage("morphing") as told:
            carried = transport(meshes, carrier, family, variants, Path(folder), told)
        with stages.stage("reduction"):
            bases = decompose_all(carried, carrier.common.mesh, config, blocks_of(variants))
        with stages.stage("regression") as told:
            fitted = regress(bases, table, family, config, seed, lambda fraction, text: told(fraction, 1))
        with stages.stage("left out") as told:
            bars = measure_error_bars(carried, bases, fitted, variants, groups, config.folds, seed, told)
    model = _model(family, carrier, carried, bases, variants, fitted, bars)
    chosen = {name: bars.fields[key] for name, key in _chosen(variants, bars).items()}
    floors = {name: carried.floors[key].rrmse for name, key in _chosen(variants, bars).items()}
    return model, fit_report(model, chosen, floors, bars.scalar_q2, reference, stages.seconds)


def _model(
    family: PartFamily,
    carrier: Carrier,
    carried: Transported,
    bases: Bases,
    variants: dict[str, Variant],
    fitted: Fitted,
    bars: ErrorBars,
) -> Model:
    """Keep of every field the variant with the least left-out error, and of the regression its columns."""
    chosen = _chosen(variants, bars)
    fields = {}
    for name in family.fields:
        key = chosen[name]
        bar, floor = bars.fields[key], carried.floors[key].variance
        fields[name] = FieldModel(bases.reduction(key), bar.residual, floor, bar.factor, variants[key].transform)
    names = {variants[key].block: variants[name].block for name, key in chosen.items()}
    ranks = {name: bases.blocks[block].reduction.rank for block, name in names.items()}
    columns = Columns(ranks, family.output_scalars, {name: variants[name].block for name in fields})
    every = torch.arange(fitted.columns.count)
    scalars = every[fitted.columns.count - len(family.output_scalars) :]
    kept = torch.cat([*(every[fitted.columns.of(block)] for block in names), scalars])
    return Model(
        family,
        carrier,
        bases.product,
        bases.shape.reduction,
        fields,
        columns,
        fitted.inputs,
        fitted.processes if len(kept) == len(every) else take_columns(fitted.processes, kept),
        torch.linalg.cholesky(bars.correlation[kept][:, kept]),
        bars.scalar_factors,
        fitted.transforms,
        bars.judged(chosen.values()),
    )


def _chosen(variants: dict[str, Variant], bars: ErrorBars) -> dict[str, str]:
    errors = {}
    for block, keys in blocks_of(variants).items():
        found = [bars.fields[key] for key in keys]
        spread = sum(one.spread for one in found)
        errors[block] = sum(one.squared_error for one in found) / spread if spread > 0 else 0.0
    return best_variants(variants, errors)


def _heavy_tailed(
    table: TrainingTable, family: PartFamily, config: MMGPConfig, blocks: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Blocks of fields that are also tried on another scale."""
    turned = {name for vector in family.vectors for name in vector} if config.align else set()
    free = {block: fields for block, fields in blocks.items() if not turned.intersection(fields)}
    if config.heavy_tailed is None:
        return tuple(b for b, fields in free.items() if any(table.tails[name] > _HEAVY for name in fields))
    wanted = {b for b, fields in free.items() if {b, *fields}.intersection(config.heavy_tailed)}
    known = {name for block, fields in free.items() for name in (block, *fields)}
    if not known.issuperset(config.heavy_tailed):
        raise LearnerError(
            f"heavy_tailed = {', '.join(config.heavy_tailed)}: expected predicted fields "
            f"({', '.join(family.fields)}), and no components of vectors where parts are turned."
        )
    return tuple(block for block in free if block in wanted)
