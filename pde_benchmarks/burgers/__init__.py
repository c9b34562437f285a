"""The viscous Burgers equation in one dimension: the problem, its exact solution, a cheap solver and trajectories."""

from pde_benchmarks.burgers.problem import Burgers
from pde_benchmarks.burgers.trajectories import BurgersTrajectories

__all__ = ["Burgers", "BurgersTrajectories"]
