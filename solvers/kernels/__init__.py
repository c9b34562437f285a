"""Inner loops, one file a backend, each equal to `reference` by test."""

from solvers.kernels.dispatch import Kernels, kernels_for, use_backend
from solvers.kernels.structures import Level, Levels, Links, Smoothing

__all__ = ["Kernels", "Level", "Levels", "Links", "Smoothing", "kernels_for", "use_backend"]
