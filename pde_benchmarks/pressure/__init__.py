"""The pressure equation of incompressible flow on a grid of solid, fluid and open cells."""

from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID, Sides, pressure_operator

__all__ = ["FLUID", "OPEN", "SOLID", "Sides", "pressure_operator"]
