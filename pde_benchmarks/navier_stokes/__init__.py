"""Two-dimensional Navier–Stokes flow: the problem, its discretisations and what is measured of a flow."""

from pde_benchmarks.navier_stokes.decay import DecayingFlow
from pde_benchmarks.navier_stokes.fourier import energy, energy_spectrum, enstrophy, resample, velocity
from pde_benchmarks.navier_stokes.problem import NavierStokes

__all__ = ["DecayingFlow", "NavierStokes", "energy", "energy_spectrum", "enstrophy", "resample", "velocity"]
