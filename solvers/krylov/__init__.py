"""Krylov subspace methods, batched: every system has its own step lengths, stopping test and status."""

from solvers.krylov.conjugate_gradients import CG
from solvers.krylov.iteration import Iteration, KrylovSolver

__all__ = ["CG", "Iteration", "KrylovSolver"]
