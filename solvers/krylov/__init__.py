"""Krylov subspace methods, batched: every system has its own step lengths, stopping test and status."""

from solvers.krylov.bicgstab import BiCGStab
from solvers.krylov.conjugate_gradients import CG
from solvers.krylov.enriched_cg import EnrichedCG
from solvers.krylov.fallback import Fallback
from solvers.krylov.flexible_cg import FlexibleCG
from solvers.krylov.flexible_gmres import FGMRES
from solvers.krylov.gmres import GMRES
from solvers.krylov.iteration import Iteration, KrylovSolver
from solvers.krylov.minres import MINRES
from solvers.krylov.normal_cg import NormalCG
from solvers.krylov.richardson import Richardson
from solvers.krylov.safeguarded_cg import SafeguardedCG
from solvers.krylov.single_reduction import SingleReductionCG

__all__ = [
    "CG",
    "FGMRES",
    "GMRES",
    "MINRES",
    "BiCGStab",
    "EnrichedCG",
    "Fallback",
    "FlexibleCG",
    "Iteration",
    "KrylovSolver",
    "NormalCG",
    "Richardson",
    "SafeguardedCG",
    "SingleReductionCG",
]
