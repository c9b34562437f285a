"""Darcy flow through random media: the equation and its grid in `medium`, the laws of the medium beside it."""

from pde_benchmarks.media.blocks import BlockDarcy
from pde_benchmarks.media.medium import Medium
from pde_benchmarks.media.phases import ThreePhaseDarcy, TwoPhaseDarcy
from pde_benchmarks.media.smooth import SmoothDarcy

__all__ = ["BlockDarcy", "Medium", "SmoothDarcy", "ThreePhaseDarcy", "TwoPhaseDarcy"]
