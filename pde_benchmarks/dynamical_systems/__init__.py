"""Systems of ordinary differential equations as problems: a few numbers that evolve, some of them stiff."""

from pde_benchmarks.dynamical_systems.robertson import Robertson
from pde_benchmarks.dynamical_systems.system import DynamicalSystem, scaled_trajectory_metrics
from pde_benchmarks.dynamical_systems.van_der_pol import VanDerPol

__all__ = ["DynamicalSystem", "Robertson", "VanDerPol", "scaled_trajectory_metrics"]
