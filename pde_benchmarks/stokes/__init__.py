"""Creeping flow past a cylinder in a channel."""

from pde_benchmarks.stokes.problem import StokesCylinder

__all__ = ["StokesCylinder"]
