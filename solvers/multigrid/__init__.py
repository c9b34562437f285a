"""Multigrid, as a preconditioner and as a solver."""

from solvers.multigrid.geometric import DampedJacobi, GeometricMultigrid, MultigridHierarchy, RedBlackGaussSeidel

__all__ = ["DampedJacobi", "GeometricMultigrid", "MultigridHierarchy", "RedBlackGaussSeidel"]
