"""Evaluate a network at the grid it was trained on, whatever grid the question comes on.

A network on a fixed number of grid points has kernels tied to their spacing. So the inputs are brought to the training
grid, the answer is found there, and carried back by cubic splines with every value at its true place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.grid_transfer import inject, interpolate, mean_of_blocks, refinement_ratio
from pde_benchmarks.problem import Batch, Grid, Phases, Positive, Problem
from sciml.errors import LearnerError

__all__ = ["Anchor"]


@dataclass(frozen=True)
class Anchor:
    """Carries inputs from ``asked`` to the training grid ``home`` and answers back.

    Raises
    ------
    LearnerError
        If the alignment is unknown, or neither grid is a whole refinement of the other.
    """

    problem: Problem
    home: Grid
    asked: Grid

    def __post_init__(self) -> None:
        if self.asked.shape == self.home.shape:
            return
        sizes = "×".join(map(str, self.asked.shape)), "×".join(map(str, self.home.shape))
        if self.asked.dim != self.home.dim:
            raise LearnerError(
                f"grid {sizes[0]}, but the run was trained on {sizes[1]}: the number of axes must agree."
            )
        if self.home.alignment == "unknown":
            raise LearnerError(
                f"grid {sizes[0]}, but the run was trained on {sizes[1]} and where its points lie is not known: "
                "say so with --alignment cell, vertex, interior or left."
            )
        try:
            self.ratio  # noqa: B018
        except ProblemError:
            valid = ", ".join("×".join(map(str, refined(self.home, r).shape)) for r in (1, 2, 4))
            raise LearnerError(
                f"grid {sizes[0]}, but the run was trained on {sizes[1]} ({self.home.alignment} points): "
                f"valid grids are {valid} and further halvings or doublings; resample the input onto one of them."
            ) from None

    @property
    def ratio(self) -> int:
        """Intervals of the finer grid per interval of the coarser one; negative if ``asked`` is the coarser."""
        if self.asked.shape[0] >= self.home.shape[0]:
            return refinement_ratio(self.asked, self.home)
        return -refinement_ratio(self.home, self.asked)

    def evaluate(self, inputs: Batch, predict: Callable[[Batch], Batch]) -> Batch:
        """``predict`` at home for inputs on ``asked``; exactly ``predict`` itself if the grids are the same."""
        if self.asked.shape == self.home.shape:
            return predict(inputs)
        answer = predict(self.bring(inputs))
        return Batch({name: self.carry_back(field) for name, field in answer.items()})

    def bring(self, inputs: Batch) -> Batch:
        """Inputs on the training grid.

        Nodal data keeps the values at the training nodes; cell data takes block means, geometric for positive fields. A
        coarser input is repeated cell by cell, or interpolated between nodes.
        """
        fields = {}
        for spec in self.problem.inputs:
            field = inputs[spec.name]
            positive = isinstance(spec.kind, Positive | Phases) and bool((field > 0).all())
            if self.ratio > 0 and self.home.alignment == "cell":
                fields[spec.name] = mean_of_blocks(field, self.ratio, geometric=positive)
            elif self.ratio > 0:
                fields[spec.name] = inject(field, self.ratio, self.home.alignment)
            else:
                fields[spec.name] = _repeated(field, self.asked, self.home, -self.ratio)
        return Batch(fields)

    def carry_back(self, field: torch.Tensor) -> torch.Tensor:
        """An output field ``(batch, …, channel, *grid)`` on the asked grid."""
        lead = field.shape[: field.ndim - self.home.dim]
        field = field.reshape(-1, 1, *field.shape[field.ndim - self.home.dim :])
        back = self._back(field)
        return back.reshape(*lead, *back.shape[2:])

    def _back(self, field: torch.Tensor) -> torch.Tensor:
        if self.ratio > 0:
            return interpolate(field, self.home, self.asked)
        if self.home.alignment == "cell":
            return mean_of_blocks(field, -self.ratio)
        return inject(field, -self.ratio, self.home.alignment)


def refined(grid: Grid, ratio: int) -> Grid:
    """The grid with ``ratio`` times as many intervals."""
    count = {"vertex": lambda n: (n - 1) * ratio + 1, "interior": lambda n: (n + 1) * ratio - 1}
    shape = tuple(count.get(grid.alignment, lambda n: n * ratio)(n) for n in grid.shape)
    return Grid(shape, grid.alignment, grid.boundary)


def _repeated(field: torch.Tensor, coarse: Grid, fine: Grid, ratio: int) -> torch.Tensor:
    """Nearest coarse value at every fine point: a coefficient may jump, so it is never smoothed."""
    for axis in range(coarse.dim):
        distance = (fine.points(axis)[:, None] - coarse.points(axis)[None, :]).abs()
        field = field.index_select(axis + 2, distance.argmin(1).to(field.device))
    return field
