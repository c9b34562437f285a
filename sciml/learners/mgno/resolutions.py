"""Training at several resolutions at once, from data at the finest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.grid_transfer import inject, mean_of_blocks
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Phases, Positive
from sciml.learners.objectives import Objective
from sciml.training.batches import generator_for

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["MixedResolutions", "halved"]


@dataclass(frozen=True)
class MixedResolutions:
    """An objective that sees every batch on one of several grids, drawn at random: N points an axis, N/2, N/4, …

    Parameters
    ----------
    objective
        What is minimised on each of them.
    grid
        The finest, that of the data.
    resolutions
        How many grids.
    """

    objective: Objective
    grid: Grid
    resolutions: int

    def prepare(self, dataset: Dataset) -> dict[str, Tensor]:
        """The objective's arrays for every grid, under their names followed by /0, /1, … halvings."""
        arrays: dict[str, Tensor] = {}
        generator = generator_for("halving", dataset.count)
        for level in range(self.resolutions):
            dataset = halved(dataset, self.grid, 2**level, generator) if level else dataset
            arrays |= {f"{name}/{level}": array for name, array in self.objective.prepare(dataset).items()}
        return arrays

    def statistics(self, arrays: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Those of the finest grid."""
        return self.objective.statistics(_at(0, arrays))

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The loss of the batch on a random grid."""
        level = int(torch.randint(self.resolutions, (1,), generator=generator))
        return self.objective(module, _at(level, batch), generator)


def _at(level: int, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.rpartition("/")[0]: array for name, array in arrays.items() if name.endswith(f"/{level}")}


def halved(dataset: Dataset, grid: Grid, ratio: int, generator: Generator) -> Dataset:
    """The samples of ``dataset`` on a grid of half the points, as close to the law on that grid as the data allows.

    Nodes keep every second value: these are the same functions, exactly. Cells take block means, geometric for a
    positive field, except of a field that takes few values: between them lies nothing that its law knows. There one
    cell of every block is kept, the same of all blocks of a sample: the function that is sampled is shifted by a
    quarter of a coarse cell. The solution of such a problem is computed anew where the problem can pose itself on the
    coarse grid; else block means of the given one stand for it, wrong by the shift.

    Parameters
    ----------
    dataset
        On ``grid.shape`` halved ``log2(ratio) − 1`` times.
    grid
        The finest grid.
    ratio
        Points of the finest grid per point of the result.
    generator
        Draws which cell is kept.
    """
    specs = dataset.problem.inputs
    corner = torch.randint(2**grid.dim, (dataset.count,), generator=generator)  # the same for all fields of a sample
    inputs = Batch({spec.name: _halved_input(dataset.inputs[spec.name], spec, grid, corner) for spec in specs})
    coarse = getattr(dataset.problem, "at_resolution", None)
    jumps = any(isinstance(spec.kind, Phases) for spec in specs)
    if grid.alignment == "cell" and jumps and coarse is not None:
        outputs = coarse(grid.shape[0] // ratio).solve(inputs)
    else:
        outputs = Batch({name: _halved_output(field, grid) for name, field in dataset.outputs.items()})
    return type(dataset)(dataset.problem, inputs, outputs, dataset.name)


def _halved_input(field: Tensor, spec: FieldSpec, grid: Grid, corner: Tensor) -> Tensor:
    if grid.alignment != "cell":
        return inject(field, 2, grid.alignment)
    if isinstance(spec.kind, Phases):
        return _one_of_every_block(field, corner)
    return mean_of_blocks(field, 2, geometric=isinstance(spec.kind, Positive) and bool((field > 0).all()))


def _one_of_every_block(field: Tensor, corner: Tensor) -> Tensor:
    dim = field.ndim - 2
    result = field.new_empty(*field.shape[:2], *(n // 2 for n in field.shape[2:]))
    for number, starts in enumerate(product((0, 1), repeat=dim)):
        rows = corner.to(field.device) == number
        kept: tuple[Any, ...] = (slice(None), slice(None), *[slice(start, None, 2) for start in starts])
        result[rows] = field[rows][kept]
    return result


def _halved_output(field: Tensor, grid: Grid) -> Tensor:
    """Fields, or trajectories ``(count, time, channel, *grid)``."""
    flat = field.flatten(0, field.ndim - grid.dim - 2)
    coarse = mean_of_blocks(flat, 2) if grid.alignment == "cell" else inject(flat, 2, grid.alignment)
    return coarse.unflatten(0, field.shape[: field.ndim - grid.dim - 1]).contiguous()
