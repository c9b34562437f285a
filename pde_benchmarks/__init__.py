"""PDE problems: random inputs, reference solutions, residuals, data sets and metrics."""

from pde_benchmarks.burgers import Burgers, BurgersTrajectories
from pde_benchmarks.corrections import Corrections
from pde_benchmarks.darcy import Darcy
from pde_benchmarks.diffusion_sorption import DiffusionSorption, DiffusionSorptionHard
from pde_benchmarks.dynamical_systems import Robertson, VanDerPol
from pde_benchmarks.elliptic import EllipticProblem
from pde_benchmarks.helmholtz import Helmholtz
from pde_benchmarks.interval import BurgersField, ReactionDiffusion, WalledBurgers
from pde_benchmarks.kuramoto_sivashinsky import KuramotoSivashinsky
from pde_benchmarks.media import BlockDarcy, SmoothDarcy, ThreePhaseDarcy, TwoPhaseDarcy
from pde_benchmarks.navier_stokes import DecayingFlow, NavierStokes
from pde_benchmarks.pipe import Pipe
from pde_benchmarks.poisson import Poisson
from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem, RecordedProblem
from pde_benchmarks.random_fields import GaussianField
from pde_benchmarks.reaction_diffusion import FitzHughNagumo, GrayScott
from pde_benchmarks.sensors import Sensors
from pde_benchmarks.stokes import StokesCylinder
from pde_benchmarks.upscaled_darcy import UpscaledDarcy
from pde_benchmarks.variational import VariationalProblem

__all__ = [
    "Batch",
    "BlockDarcy",
    "Burgers",
    "BurgersField",
    "BurgersTrajectories",
    "Corrections",
    "Darcy",
    "DecayingFlow",
    "DiffusionSorption",
    "DiffusionSorptionHard",
    "EllipticProblem",
    "FieldSpec",
    "FitzHughNagumo",
    "GaussianField",
    "GrayScott",
    "Grid",
    "Helmholtz",
    "KuramotoSivashinsky",
    "NavierStokes",
    "Pipe",
    "Poisson",
    "Problem",
    "ReactionDiffusion",
    "RecordedProblem",
    "Robertson",
    "Sensors",
    "SmoothDarcy",
    "StokesCylinder",
    "ThreePhaseDarcy",
    "TwoPhaseDarcy",
    "UpscaledDarcy",
    "VanDerPol",
    "VariationalProblem",
    "WalledBurgers",
]
