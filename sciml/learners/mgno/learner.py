"""The MgNO learners: with the physics inside, from data only, and as published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import nn

from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.problem import Problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.grid_learner import FOREIGN_GRID_CYCLES, GridConfig, GridLearner, require_at_least
from sciml.learners.mgno.boundaries import Boundary, ImposedNetwork, boundary_rules, check_boundary, imposable
from sciml.learners.mgno.ghosts import GhostLayer
from sciml.learners.mgno.network import MgNONetwork
from sciml.learners.mgno.operator_residual import EquationNetwork, OperatorNetwork
from sciml.learners.mgno.schedule import PREDICTION, TRAINING, Schedule
from sciml.learners.padded import Padded

__all__ = ["DataMgNO", "DataMgNOConfig", "MgNO", "MgNOConfig", "PublishedMgNO", "PublishedMgNOConfig"]


@dataclass(frozen=True)
class MgNOConfig(GridConfig):
    """MgNO that corrects a first guess by full multigrid, followed by V-cycles.

    Parameters
    ----------
    channels, layers, patch
        Width, depth, and points per axis that become channels before the first layer (None: 4 from 64 points an axis, 2
        from 32, else 1; 1 with ``residual=operator``).
    levels
        Pre- and post-smoothing steps of every level of the V-cycles, finest first, e.g. ``11 11 20``.
    boundary
        ``problem`` for the boundary conditions of the problem's grid, ``auto`` for ``periodic`` where the grid is and
        ``zeros`` (faster than the others) elsewhere, or one of ``dirichlet``, ``neumann``, ``periodic``, ``zeros`` (the
        published padding) for every side, or a list with one of them or a pair [low side,
        high side] for every axis, e.g. ``[[dirichlet, neumann], periodic]``.
    restrict
        Right-hand side of coarse levels: ``rhs`` (as published) or ``residual`` (the correction scheme).
    bias_degree
        Degree of the bias functions; 0 is a constant per channel.
    fit
        ``exact`` refuses grids that the levels cannot halve; ``pad`` continues the fields to the next size and crops.
    norm
        ``layer`` normalises the channels in every point after every layer; the operators themselves stay linear.
    impose
        Make the answer exactly zero in the grid points that lie on Dirichlet sides, on the grid of the prediction.
        Cells have no such points: theirs is the value half a cell outside, which is nobody's output.
    checkpointing
        Compute the layers again in the backward pass instead of keeping what is inside them: less memory, a third more
        time.
    residual
        ``learned`` (as published), or ``operator`` for elliptic problems: one channel of the V-cycles is the solution
        itself, and its f − A u is the true scaled residual of the problem's own operator on every level, with the
        coarse operators of its multigrid; all else stays learned. Training starts from ``layers`` V-cycles of
        multigrid that correct the base (without one: zero), so other resolutions are predicted on their own grid. The
        network works on the finest grid (``patch=1``), which the levels must halve; 6 to 12 channels do.
    """

    base: str | None = "fmg"
    post_cycles: int = 2
    channels: int = 24
    layers: int = 3
    patch: int | None = 2
    levels: str = "11 11 20"
    boundary: Boundary = "problem"
    restrict: Literal["rhs", "residual"] = "rhs"
    bias_degree: int = 0
    fit: Literal["exact", "pad"] = "exact"
    norm: Literal["none", "layer"] = "none"
    impose: bool = False
    checkpointing: bool = False
    residual: Literal["learned", "operator"] = "learned"

    @property
    def knows_equation(self) -> bool:
        """Whether the problem's equation helps to predict: there may be V-cycles after the network."""
        return super().knows_equation or self.residual == "operator"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual == "operator":
            self._check_operator_residual()
        require_at_least(1, channels=self.channels, layers=self.layers, patch=self.patch)
        require_at_least(0, bias_degree=self.bias_degree)
        Schedule.parse(self.levels)
        check_boundary(self.boundary)

    def _check_operator_residual(self) -> None:
        if self.patch not in (None, 1):
            raise ConfigurationError(
                f"patch = {self.patch}: the operator of residual=operator acts on points, not on blocks of them: use "
                "patch=1, or residual=learned."
            )
        require_at_least(2, channels=self.channels)
        for name, wanted in (("impose", self.impose), ("uncertainty", self.uncertainty)):
            if wanted:
                raise ConfigurationError(
                    f"{name} = {wanted} does not go with residual=operator: leave one of the two away."
                )


@dataclass(frozen=True)
class DataMgNOConfig(MgNOConfig):
    """MgNO from data alone, for budgets of minutes (patch stem, zero padding: faster, hence better)."""

    base: str | None = None
    post_cycles: int = 0
    channels: int = 32
    layers: int = 4
    patch: int | None = None
    levels: str = "11 11 20"
    boundary: Boundary = "auto"
    fit: Literal["exact", "pad"] = "pad"


@dataclass(frozen=True)
class PublishedMgNOConfig(MgNOConfig):
    """The layout of the paper's runs: no patch stem, zero padding, constant biases."""

    base: str | None = None
    post_cycles: int = 0
    h1_weight: float = 1.0
    symmetry: bool = False
    channels: int = 24
    layers: int = 4
    patch: int | None = 1
    levels: str = "10 10 10 10 20"
    boundary: Boundary = "zeros"


class DataMgNO(GridLearner):
    """Multigrid neural operator learned from input-output pairs alone."""

    name: ClassVar[str] = "mgno-data"
    config_type: ClassVar[type] = DataMgNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 2e-3, "batch_size": 8}
    config: MgNOConfig

    def __init__(self, problem: Problem, config: MgNOConfig) -> None:
        super().__init__(problem, config)
        if config.impose:
            free = self.module
            self.module = ImposedNetwork(free.network, self.fields.features.channels, self.fields.outputs, self.grid)
            self.module.error_bars = free.error_bars
        if config.residual == "operator":
            self.module = EquationNetwork(self.module.network, self.fields.features, self.grid)

    def build(self, inputs: int, outputs: int) -> nn.Module:
        """MgNO on the problem's grid."""
        config = self.config
        grid, patch = self._points, self._patch
        ghosts = GhostLayer(boundary_rules(config.boundary, self.grid), grid)
        schedule = Schedule.parse(config.levels)
        if config.residual == "operator":
            return OperatorNetwork(
                inputs,
                config.channels,
                config.layers,
                schedule,
                ghosts,
                config.restrict,
                config.bias_degree,
                config.norm,
                config.checkpointing,
            )
        # Blocks of points form a grid of cells, whatever the points were.
        inner = GhostLayer(ghosts.rules, "cell") if patch > 1 else ghosts
        network = MgNONetwork(
            inputs,
            outputs,
            config.channels,
            config.layers,
            schedule,
            inner,
            patch,
            config.restrict,
            config.bias_degree,
            config.norm,
            config.checkpointing,
        )
        unit = patch * 2 ** (schedule.levels - 1)
        if config.fit == "pad":
            offset = {"interior": -1, "vertex": 1}.get(inner.grid, 0)
            return Padded(network, unit, offset)
        return network

    def check_grid(self, shape: tuple[int, ...]) -> None:
        """The levels must halve the grid, unless it is padded; what is imposed must have points."""
        if self.config.impose and not imposable(self.grid):
            raise ConfigurationError(
                f"impose=true: no point of this {self.grid.alignment} grid lies on a Dirichlet side, where the value "
                "is known to be zero: leave impose away."
            )
        operator = self.config.residual == "operator"
        if operator:
            self._check_operator()
        if self.config.fit == "exact" or operator:
            remedy = TRAINING if shape == self.grid.shape else PREDICTION
            Schedule.parse(self.config.levels).check(shape, self._points, self._patch, remedy)

    @property
    def resolution_note(self) -> str:
        """How another resolution than the training grid's is predicted, in words."""
        if self.config.base is None and self.config.residual == "operator":
            return (
                f"Another grid is predicted there, with its own operators, and {FOREIGN_GRID_CYCLES} V-cycles follow."
            )
        return super().resolution_note

    def _check_operator(self) -> None:
        if not isinstance(self.problem, EllipticProblem):
            raise LearnerError(
                f"residual = operator needs a problem with a known elliptic operator, and {self.problem.name} has "
                "none: set residual=learned."
            )
        if self._points == "vertex":
            raise LearnerError(
                "residual = operator: vertices on the boundary are no unknowns of the operator: use a grid of cells or "
                "of interior vertices, or residual=learned."
            )

    @property
    def _points(self) -> str:
        """How the levels see the grid's points."""
        return self.grid.alignment if self.grid.alignment in ("interior", "vertex") else "cell"

    @property
    def _patch(self) -> int:
        chosen = 1 if self.config.residual == "operator" else self.config.patch
        return chosen if chosen is not None else _patch_for(min(self.grid.shape))


class MgNO(DataMgNO):
    """Multigrid neural operator that knows the equation: it corrects one full-multigrid pass."""

    name: ClassVar[str] = "mgno"
    capabilities: ClassVar[Capabilities] = replace(
        DataMgNO.capabilities, uncertainty=Offer("uncertainty=laplace, post_cycles=0")
    )
    config_type: ClassVar[type] = MgNOConfig

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """A grid, and an operator known to the problem."""
        if not isinstance(problem, EllipticProblem):
            return (
                "it corrects a multigrid solution, which this problem or data has not; "
                "mgno-data learns from data alone."
            )
        return super().accepts(problem)


class PublishedMgNO(DataMgNO):
    """Multigrid neural operator in the published layout, for runs of hours."""

    name: ClassVar[str] = "mgno-published"
    config_type: ClassVar[type] = PublishedMgNOConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-4, "batch_size": 8}


def _patch_for(points: int) -> int:
    """The finest levels are where the time goes; a coarse grid has none to spare."""
    return 4 if points >= 64 else 2 if points >= 32 else 1
