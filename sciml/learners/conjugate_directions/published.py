"""The published method: a network that proposes directions, trained on one empty box."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.pressure import FLUID, Sides, pressure_operator
from pde_benchmarks.problem import Problem
from sciml.errors import ConfigurationError
from sciml.learners.conjugate_directions.direction_loss import direction_loss
from sciml.learners.conjugate_directions.network import DirectionNetwork
from sciml.learners.conjugate_directions.pressure_learner import PressureConfig, PressureLearner, require_grid
from sciml.learners.conjugate_directions.training_vectors import eigenvector_sums, ritz_pairs, ritz_sums
from sciml.learners.grid_learner import require_at_least
from sciml.training.batches import generator_for
from solvers import (
    AggregationMultigrid,
    DiffusionOperator,
    Inverse,
    LearnedPreconditioner,
    LinearOperator,
    SafeguardedCG,
    Solution,
    linear_solve,
)

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["PublishedDirections", "PublishedDirectionsConfig"]


@dataclass(frozen=True)
class PublishedDirectionsConfig(PressureConfig):
    """The network of Kaneda et al. (2023), its training vectors, and the loop that uses it.

    Parameters
    ----------
    size
        64 or 128: the network published for grids of that size.
    channels
        Width, 16 as published.
    vectors
        Training vectors to draw; they belong to the empty box of the problem's resolution.
    basis
        ``eigenvectors`` of the box, known in closed form, or ``ritz``: those of a Lanczos run, as published.
    ritz
        Lanczos steps for ``ritz``.
    window
        Earlier directions that a new one is made A-orthogonal to.
    slowest
        As in `SafeguardedCG`; infinity follows the network to the end, as published.
    """

    size: Literal[64, 128] = 64
    channels: int = 16
    vectors: int = 2000
    basis: Literal["eigenvectors", "ritz"] = "eigenvectors"
    ritz: int = 500
    window: int = 2
    slowest: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, channels=self.channels, vectors=self.vectors, ritz=self.ritz, window=self.window)
        if self.size not in (64, 128):
            raise ConfigurationError(f"size = {self.size}: the published networks are 64 and 128.")
        if self.basis not in ("eigenvectors", "ritz"):
            raise ConfigurationError(f"basis = {self.basis!r}: use one of eigenvectors, ritz.")
        if not self.slowest > 0:
            raise ConfigurationError(f"slowest = {self.slowest}: a positive factor per step is expected.")


class PublishedDirections(PressureLearner):
    """A network sees the residual alone and proposes a direction (Kaneda et al. 2023); the loop around it is safe.

    It is trained without solutions, on random sums of the eigenvectors of an empty box with an open top; obstacles it
    meets in use only. Its set-up gives the rule of `SafeguardedCG`, `EnrichedCG` or `FlexibleCG`, whose residuals it
    scales to norm one.
    """

    name: ClassVar[str] = "dcdm-published"
    config_type: ClassVar[type] = PublishedDirectionsConfig
    training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 2e-3,
        "batch_size": 10,
        "weight_decay": 0.0,
        "warmup": 0.02,
    }
    config: PublishedDirectionsConfig
    module: DirectionNetwork

    def __init__(self, problem: Problem, config: PublishedDirectionsConfig) -> None:
        super().__init__(problem, config)
        self.module = DirectionNetwork(self.problem.dimension, config.size, config.channels)
        self.module.check_grid(self.problem.grid.shape)

    def setup(self, A: LinearOperator) -> Inverse:
        """R ↦ ‖r‖ N(r/‖r‖) on the grid of A."""
        operator = require_grid(A, self.problem.dimension, self.name)
        self.module.check_grid(operator.grid)
        self.module.eval()
        return LearnedPreconditioner(_OnGrid(self.module, operator.grid)).setup(A)

    def solve(self, A: DiffusionOperator, b: Tensor, throw: bool = True) -> Solution:
        """By `SafeguardedCG`, with a classical multigrid cycle that stands by."""
        config = self.config
        solver = SafeguardedCG(
            rtol=config.rtol,
            max_iterations=config.max_iterations,
            rule=self,
            window=config.window,
            slowest=config.slowest,
        )
        return linear_solve(A, b, solver, AggregationMultigrid(), throw=throw)

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Learn from vectors of the empty box; ``dataset`` is not read, ``validation`` is only watched.

        The validation error is the training loss at their systems and right-hand sides.
        """
        began = time.perf_counter()
        box = self.box()
        vectors = self.training_vectors(box, generator_for("vectors", trainer.config.seed, 0))
        network = self.module

        def loss(module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
            b = batch["rhs"]
            A = box.replace(tuple(t.to(b) for t in box.parameters()))
            return direction_loss(A, b, module(b.reshape(-1, *box.grid)).flatten(1))

        def error() -> float:
            weight = next(network.parameters())
            inputs = validation.inputs.to(weight.device, weight.dtype)
            A = self.problem.operator(inputs)
            b = A.project(self.problem.load(inputs))
            b = b / b.norm(dim=1, keepdim=True)
            return float(direction_loss(A, b, network(b.reshape(-1, *A.grid)).flatten(1)))

        spent = time.perf_counter() - began
        return trainer.fit(network, loss, {"rhs": vectors}, error, spent=spent)

    def box(self) -> DiffusionOperator:
        """The empty box of the problem's resolution: solid sides but an open top (axis 1 is upright)."""
        grid = self.problem.grid.shape
        sides: Sides = [("solid", "open") if axis == 1 else "solid" for axis in range(len(grid))]
        A = pressure_operator(torch.full(grid, FLUID), sides)
        return DiffusionOperator(A.faces)

    def training_vectors(self, box: DiffusionOperator, generator: Generator) -> Tensor:
        """Right-hand sides of norm one, float32 ``(vectors, n)``."""
        config = self.config
        if config.basis == "eigenvectors":
            return eigenvector_sums(box, config.vectors, generator).float()
        _, vectors = ritz_pairs(box, config.ritz, generator)
        return ritz_sums(vectors, config.vectors, generator).float()


class _OnGrid(nn.Module):
    """The network for flat vectors ``(*batch, n)``, homogeneous."""

    def __init__(self, network: DirectionNetwork, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.grid = network, grid

    def forward(self, r: Tensor) -> Tensor:
        size = r.norm(dim=-1, keepdim=True)
        unit = r / torch.where(size > 0, size, 1)
        q: Tensor = self.network(unit.reshape(-1, *self.grid))
        return size * q.reshape(r.shape)
