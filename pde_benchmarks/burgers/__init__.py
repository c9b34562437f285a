"""The viscous Burgers equation in one dimension: the problem, its exact solution and a cheap solver."""

from pde_benchmarks.burgers.problem import Burgers

__all__ = ["Burgers"]
