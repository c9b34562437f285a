"""Multigrid, as a preconditioner and as a solver."""

from solvers.multigrid.algebraic import RugeStuben, SmoothedAggregation
from solvers.multigrid.algebraic_hierarchy import AlgebraicHierarchy
from solvers.multigrid.galerkin import GalerkinMap
from solvers.multigrid.geometric import DampedJacobi, GeometricMultigrid, MultigridHierarchy, RedBlackGaussSeidel

__all__ = [
    "AlgebraicHierarchy",
    "DampedJacobi",
    "GalerkinMap",
    "GeometricMultigrid",
    "MultigridHierarchy",
    "RedBlackGaussSeidel",
    "RugeStuben",
    "SmoothedAggregation",
]
