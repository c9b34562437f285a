"""Laws of random images, fields and signals with values in [0, 1], to learn priors from; one function each."""

from pde_benchmarks.imaging.laws.ellipses import draw_ellipses
from pde_benchmarks.imaging.laws.permeability import draw_permeability
from pde_benchmarks.imaging.laws.signals import draw_signals
from pde_benchmarks.imaging.laws.sources import draw_sources
from pde_benchmarks.imaging.laws.table import LAWS, Law

__all__ = ["LAWS", "Law", "draw_ellipses", "draw_permeability", "draw_signals", "draw_sources"]
