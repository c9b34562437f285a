"""The pressure equation of incompressible flow on a grid of solid, fluid and open cells."""

from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID, Sides, pressure_operator
from pde_benchmarks.pressure.components import Compatible, Components, compatible, fluid_components, without_floating
from pde_benchmarks.pressure.problem import PressurePoisson
from pde_benchmarks.pressure.published import (
    read_frame,
    read_training_vectors,
    write_frame,
    write_training_vectors,
)
from pde_benchmarks.pressure.random_cells import RandomCells
from pde_benchmarks.pressure.recognition import PressureMatrix, cells_of, recognised

__all__ = [
    "FLUID",
    "OPEN",
    "SOLID",
    "Compatible",
    "Components",
    "PressureMatrix",
    "PressurePoisson",
    "RandomCells",
    "Sides",
    "cells_of",
    "compatible",
    "fluid_components",
    "pressure_operator",
    "read_frame",
    "read_training_vectors",
    "recognised",
    "without_floating",
    "write_frame",
    "write_training_vectors",
]
