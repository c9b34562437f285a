"""Evolution on an interval between two walls: Burgers' equation and nonlinear reaction–diffusion."""

from pde_benchmarks.interval.burgers import WalledBurgers
from pde_benchmarks.interval.burgers_field import BurgersField
from pde_benchmarks.interval.reaction_diffusion import ReactionDiffusion

__all__ = ["BurgersField", "ReactionDiffusion", "WalledBurgers"]
