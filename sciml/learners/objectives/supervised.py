"""Labelled pairs: the error of the prediction against the reference solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.complex_channels import to_channels
from pde_benchmarks.grid import Grid
from pde_benchmarks.problem import Batch
from sciml.learners.field_map import FieldMap
from sciml.learners.objectives.objective import field_error
from sciml.learners.symmetries import random_symmetry

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["Supervised", "prepared_features"]

ROWS = 64


@dataclass(frozen=True)
class Supervised:
    """Mean over the samples of relative L² + ``h1_weight`` · relative H¹, after a random symmetry.

    Parameters
    ----------
    fields
        The map that is learned.
    grid
        Where the outputs live: the H¹ norm asks for its boundary.
    h1_weight
        Weight of the H¹ part.
    symmetric
        Transform every batch by a random symmetry of the square.
    """

    fields: FieldMap
    grid: Grid
    h1_weight: float
    symmetric: bool

    def prepare(self, dataset: Dataset) -> dict[str, Tensor]:
        """Features (with the first guess, where there is one) and targets."""
        targets = [to_channels(dataset.outputs[spec.name]) for spec in self.fields.problem.outputs]
        return {**prepared_features(self.fields, dataset.inputs), "target": torch.cat(targets, 1).to(torch.float32)}

    def statistics(self, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features, and targets less the base."""
        base = arrays.get("base")
        return arrays["features"], arrays["target"] if base is None else arrays["target"] - base

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The mean error of a batch; a sample whose truth is zero has none and is left out."""
        arrays = random_symmetry(dict(batch), generator) if self.symmetric else dict(batch)
        cycles = self.fields.config.post_cycles
        prediction = self.fields.completed(arrays, module(arrays["features"]), cycles)
        return field_error(prediction, arrays["target"], self.grid.boundary, self.h1_weight).nanmean()


def prepared_features(fields: FieldMap, inputs: Batch) -> dict[str, Tensor]:
    """`FieldMap.arrays` of all samples, float32, made a few samples at a time."""
    single = fields.in_precision(inputs, torch.float32)
    rows = [fields.arrays(single.rows(slice(i, i + ROWS))) for i in range(0, single.count, ROWS)]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
