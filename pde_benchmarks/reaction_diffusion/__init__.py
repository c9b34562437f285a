"""Two substances that react and diffuse, on periodic intervals and squares."""

from pde_benchmarks.reaction_diffusion.fitzhugh_nagumo import FitzHughNagumo
from pde_benchmarks.reaction_diffusion.gray_scott import GrayScott

__all__ = ["FitzHughNagumo", "GrayScott"]
