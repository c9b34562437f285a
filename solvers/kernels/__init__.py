"""Inner loops, one file a backend, each equal to `reference` by test."""

from solvers.kernels.aggregation import aggregation_cycle
from solvers.kernels.dispatch import kernels_for, use_backend
from solvers.kernels.reference import Reference
from solvers.kernels.structures import Interpolation, Level, Levels, Links, Smoothing, Taps, repeating

__all__ = [
    "Interpolation",
    "Level",
    "Levels",
    "Links",
    "Reference",
    "Smoothing",
    "Taps",
    "aggregation_cycle",
    "kernels_for",
    "repeating",
    "use_backend",
]
