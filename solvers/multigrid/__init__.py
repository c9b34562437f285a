"""Multigrid, as a preconditioner and as a solver."""

from solvers.multigrid.aggregation import AggregationHierarchy, AggregationMultigrid
from solvers.multigrid.aggregation_coefficients import (
    GALERKIN,
    HAND_TUNED,
    TEXTBOOK,
    CoefficientRule,
    CycleCoefficients,
    LevelCoefficients,
)
from solvers.multigrid.aggregation_graph import CellGraph
from solvers.multigrid.aggregation_levels import aggregation_levels
from solvers.multigrid.algebraic import RugeStuben, SmoothedAggregation
from solvers.multigrid.algebraic_hierarchy import AlgebraicHierarchy
from solvers.multigrid.galerkin import GalerkinMap
from solvers.multigrid.geometric import DampedJacobi, GeometricMultigrid, MultigridHierarchy, RedBlackGaussSeidel

__all__ = [
    "GALERKIN",
    "HAND_TUNED",
    "TEXTBOOK",
    "AggregationHierarchy",
    "AggregationMultigrid",
    "AlgebraicHierarchy",
    "CellGraph",
    "CoefficientRule",
    "CycleCoefficients",
    "DampedJacobi",
    "GalerkinMap",
    "GeometricMultigrid",
    "LevelCoefficients",
    "MultigridHierarchy",
    "RedBlackGaussSeidel",
    "RugeStuben",
    "SmoothedAggregation",
    "aggregation_levels",
]
