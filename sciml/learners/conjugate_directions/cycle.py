"""Multigrid cycles whose coefficients are learned, to be used with plain conjugate gradients."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.pressure.right_hand_sides import noise, smooth
from pde_benchmarks.problem import Batch, Problem
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.conjugate_directions.coefficients import FieldCoefficients, ScalarCoefficients
from sciml.learners.conjugate_directions.defaults import default_scalars
from sciml.learners.conjugate_directions.pressure_learner import PressureConfig, PressureLearner, require_grid
from sciml.learners.conjugate_directions.unrolled import convergence_rate
from sciml.learners.grid_learner import require_at_least
from solvers import (
    CG,
    AggregationMultigrid,
    CellGraph,
    DiffusionOperator,
    Inverse,
    LinearOperator,
    Solution,
    aggregation_cycle,
    aggregation_levels,
    linear_solve,
)

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["FieldCycle", "FieldCycleConfig", "LearnedCycle", "LearnedCycleConfig"]

COARSEST = 4


@dataclass(frozen=True)
class LearnedCycleConfig(PressureConfig):
    """Numbers for each level of a multigrid cycle, and how they are trained.

    Parameters
    ----------
    steps
        Steps of conjugate gradients that training differentiates through.
    smooth_fraction
        Probability that a training sample has a smooth right-hand side; the others are noise.
    """

    steps: int = 6
    smooth_fraction: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, steps=self.steps)
        if not 0 <= self.smooth_fraction <= 1:
            raise ConfigurationError(
                f"smooth_fraction = {self.smooth_fraction}: a probability from 0 to 1 is expected."
            )


class LearnedCycle(PressureLearner):
    """Relaxation, interpolation and coarse matrices of a cycle over blocks of cells, learned as numbers for each level.

    For any numbers the cycle is linear, symmetric and positive definite, so that plain conjugate gradients with it
    converge as they do with the classical cycle, at its cost; its set-up is as cheap. It is trained on what matters:
    how far six steps of preconditioned conjugate gradients reduce a residual, on random obstacles. No solution is read.
    Grids of any size may follow.
    """

    name: ClassVar[str] = "dcdm"
    config_type: ClassVar[type] = LearnedCycleConfig
    training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 2e-2,
        "final_fraction": 1e-2,
        "batch_size": 8,
        "weight_decay": 0.0,
        "warmup": 0.05,
    }
    config: LearnedCycleConfig
    module: ScalarCoefficients | FieldCoefficients

    def __init__(self, problem: Problem, config: LearnedCycleConfig) -> None:
        super().__init__(problem, config)
        self.module = self.coefficients()

    def coefficients(self) -> ScalarCoefficients | FieldCoefficients:
        """The classical cycle, with numbers of its own for every level of the training grid."""
        return ScalarCoefficients(self.problem.dimension, levels_of(self.problem.grid.shape))

    def setup(self, A: LinearOperator) -> Inverse:
        """The cycle for the systems of A, compiled."""
        require_grid(A, self.problem.dimension, self.name)
        self.module.eval()
        # A cycle in single precision costs conjugate gradients no steps.
        return AggregationMultigrid(coefficients=self.module, coarsest=COARSEST, dtype=torch.float32).setup(A)

    def solve(self, A: DiffusionOperator, b: Tensor, throw: bool = True) -> Solution:
        """By `CG` with the learned cycle."""
        solver = CG(rtol=self.config.rtol, max_iterations=self.config.max_iterations)
        return linear_solve(A, b, solver, self, throw=throw)

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the cells of ``dataset``; the validation error is the factor per step at ``validation``'s systems.

        Raises
        ------
        LearnerError
            A sample has fluid that nothing open touches.
        """
        began = time.perf_counter()
        data, watched = self.graphs(dataset.inputs), self.graphs(validation.inputs)
        weight = next(self.module.parameters())
        rhs = validation.inputs["rhs"][:, 0]

        def error() -> float:
            seen = {name: array.to(weight.device) for name, array in watched.items()}
            return float(self.rate(self.module, seen, rhs.to(seen["mass"])).exp())

        spent = time.perf_counter() - began
        return trainer.fit(self.module, self.loss, data, error, spent=spent)

    def loss(self, module: nn.Module, batch: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The convergence rate at random right-hand sides."""
        fluid = _alive(batch).cpu()
        rough, waves = noise(fluid, generator), smooth(fluid, generator)
        is_smooth = torch.rand(len(fluid), generator=generator) < self.config.smooth_fraction
        b = torch.where(is_smooth.reshape(-1, *(1,) * (fluid.ndim - 1)), waves, rough)
        return self.rate(module, batch, b.to(batch["mass"]))

    def rate(self, module: nn.Module, batch: Mapping[str, Tensor], b: Tensor) -> Tensor:
        """Mean logarithm of the factor by which a step of conjugate gradients reduces ‖r‖₂; differentiable."""
        graph = CellGraph(batch["links"], batch["mass"])
        levels = aggregation_levels(graph, module, COARSEST)
        return convergence_rate(graph.apply, lambda r: aggregation_cycle(levels, r), b, self.config.steps)

    def graphs(self, inputs: Batch) -> dict[str, Tensor]:
        """The systems of these samples as arrays for training, float32."""
        self.problem.check(inputs)
        A = self.problem.operator(inputs)
        floating = (A.kernel.is_floating & (A.diagonal() > 0)).any(-1)
        if bool(floating.any()):
            raise LearnerError(
                f"{self.name}: sample {int(floating.nonzero()[0])} has fluid that nothing open touches: make it solid "
                "by without_floating before training."
            )
        graph = CellGraph.of(A).to(torch.float32)
        return {"links": graph.links.contiguous(), "mass": graph.mass}


@dataclass(frozen=True)
class FieldCycleConfig(LearnedCycleConfig):
    """Fields of coefficients, read off the walls by a network.

    Parameters
    ----------
    channels
        Width of the network.
    """

    channels: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, channels=self.channels)


class FieldCycle(LearnedCycle):
    """The same with coefficients that vary in space; it starts from the numbers that come with this package."""

    name: ClassVar[str] = "dcdm-fields"
    config_type: ClassVar[type] = FieldCycleConfig
    training_defaults: ClassVar[dict[str, Any]] = {**LearnedCycle.training_defaults, "learning_rate": 3e-3}
    config: FieldCycleConfig

    def coefficients(self) -> FieldCoefficients:
        """The default numbers and a network whose head is zero."""
        return FieldCoefficients(default_scalars(self.problem.dimension), self.config.channels)


def levels_of(grid: tuple[int, ...]) -> int:
    """Levels of a cycle that are relaxed: all but the coarsest, which has at most 4^d cells.

    Examples
    --------
    >>> levels_of((32, 32, 32))
    3
    """
    count = 0
    while prod(grid) > COARSEST ** len(grid):
        grid, count = tuple((n + 1) // 2 for n in grid), count + 1
    return max(count, 1)


def _alive(batch: Mapping[str, Tensor]) -> Tensor:
    """Cells with an equation, ``(batch, *grid)``."""
    return CellGraph(batch["links"], batch["mass"]).diagonal > 0
