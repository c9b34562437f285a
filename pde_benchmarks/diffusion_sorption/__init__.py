"""Diffusion and sorption of a solute in a column of soil: two problems, their reference and their discretisation."""

from pde_benchmarks.diffusion_sorption.hard import DiffusionSorptionHard
from pde_benchmarks.diffusion_sorption.published import read_diffusion_sorption
from pde_benchmarks.diffusion_sorption.scalar import DiffusionSorption

__all__ = ["DiffusionSorption", "DiffusionSorptionHard", "read_diffusion_sorption"]
