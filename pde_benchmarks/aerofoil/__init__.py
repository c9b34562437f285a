"""Potential flow around aerofoils of varying shape, on unstructured triangles."""

from pde_benchmarks.aerofoil.aerofoil import PotentialAerofoil
from pde_benchmarks.aerofoil.potential_flow import PotentialFlow

__all__ = ["PotentialAerofoil", "PotentialFlow"]
