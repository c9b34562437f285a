"""MgNO with scale-consistent V-cycles: trained on coarse grids, applied directly to finer ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn

from pde_benchmarks.evolution import EvolutionProblem
from pde_benchmarks.problem import Batch, Grid, Problem
from sciml.capabilities import Capabilities
from sciml.errors import ConfigurationError
from sciml.learner import Prediction
from sciml.learners.grid_learner import GridConfig, GridLearner, require_at_least
from sciml.learners.mgno.boundaries import Boundary, boundary_rules, check_boundary
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.resolutions import MixedResolutions
from sciml.learners.mgno.scale_consistent import PureTransfers, ScaleConsistentNetwork, halvings
from sciml.learners.objectives import Objective

__all__ = ["ScaleConsistentMgNO", "ScaleConsistentMgNOConfig"]


@dataclass(frozen=True)
class ScaleConsistentMgNOConfig(GridConfig):
    """MgNO whose levels count from the coarsest grid, so that its answer converges when the grid is refined.

    Parameters
    ----------
    channels, layers
        Width and depth.
    own_levels
        Levels, from 4 cells a side upwards, with weights of their own; finer ones share those of the finest own level.
        At most one less than the training grid has: what is shared must have been trained.
    resolutions
        Grids that training batches are drawn from: N points an axis, N/2, …; with one it does not learn what a finer
        grid changes.
    boundary
        As for ``mgno``: ``problem``, ``auto``, one name for every side, or a list with a name or a pair for every axis.
    checkpointing
        Compute the layers again in the backward pass instead of keeping what is inside them.
    """

    channels: int = 16
    layers: int = 4
    own_levels: int = 4
    resolutions: int = 2
    boundary: Boundary = "auto"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(
            1, channels=self.channels, layers=self.layers, own_levels=self.own_levels, resolutions=self.resolutions
        )
        check_boundary(self.boundary)
        if self.uncertainty is not None:
            raise ConfigurationError(
                f"uncertainty = {self.uncertainty}: its error bars belong to the points of one grid, and mgno-scale "
                "answers on all of them: set uncertainty=none, or use mgno-data."
            )


class ScaleConsistentMgNO(GridLearner):
    """Multigrid neural operator with a limit: one network for all grids of 4 · 2^k cells, learned from data alone."""

    name: ClassVar[str] = "mgno-scale"
    capabilities: ClassVar[Capabilities] = replace(GridLearner.capabilities, uncertainty=None)
    config_type: ClassVar[type] = ScaleConsistentMgNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 3e-3, "batch_size": 8}
    config: ScaleConsistentMgNOConfig

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Cells, or left nodes of a periodic grid, that halve until the shortest side has 4 of them."""
        refusal = super().accepts(problem)
        if refusal is not None:
            return refusal
        grid = problem.grid if isinstance(problem, EvolutionProblem) else problem.outputs[0].support
        assert isinstance(grid, Grid)  # the base class saw to it
        periodic = all(pair == ("periodic", "periodic") for pair in grid.sides)
        if grid.alignment != "cell" and not (grid.alignment == "left" and periodic):
            return (
                f"its levels are made of cells, or of left nodes of a periodic grid, and these are {grid.alignment} "
                "points; mgno-data takes any grid."
            )
        try:
            halvings(grid.shape)
        except ConfigurationError as error:
            return str(error)
        return None

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """The network for this kind of grid, of whatever size."""
        config = self.config
        transfers = PureTransfers(
            GhostLayer(boundary_rules(config.boundary, self.grid)), nodal=self.grid.alignment == "left"
        )
        own = max(1, min(config.own_levels, halvings(self.grid.shape)))
        return ScaleConsistentNetwork(
            inputs, outputs, config.channels, config.layers, own, transfers, config.checkpointing
        )

    def check_grid(self, shape: tuple[int, ...]) -> None:
        """The shortest side has 4 · 2^k cells, and the others are in proportion as in training."""
        halved = halvings(shape)
        home = self.grid.shape
        if shape == home and self.config.resolutions > halved + 1:
            raise ConfigurationError(
                f"resolutions = {self.config.resolutions}: a grid of {'×'.join(map(str, home))} halves {halved} times, "
                f"so there are at most {halved + 1}."
            )
        if any(size * home[0] != length * shape[0] for size, length in zip(shape, home, strict=True)):
            raise ConfigurationError(
                f"grid {'×'.join(map(str, shape))} is no refinement of the training grid {'×'.join(map(str, home))}: "
                "all axes must have the same ratio."
            )

    def objective(self, count: int) -> Objective:
        """The same as every grid learner's, on a random one of several grids."""
        objective = super().objective(count)
        if self.config.resolutions == 1:
            return objective
        return MixedResolutions(objective, self.grid, self.config.resolutions)

    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Predict all samples directly on their own grid.

        Raises
        ------
        LearnerError
            If a field is missing, has other channels, or another number of axes.
        ConfigurationError
            If the levels do not fit the grid.
        """
        if self._corrects_multigrid:
            return super().predict(inputs, batch_size)
        return self.predict_directly(inputs, batch_size)

    @property
    def resolution_note(self) -> str:
        """How another resolution than the training grid's is predicted, in words."""
        if self._corrects_multigrid:
            return super().resolution_note
        return "Another grid is predicted directly: finer levels share the weights of the finest trained one."
