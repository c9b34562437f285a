"""Which solver the linear systems of nonlinear methods get by default."""

from __future__ import annotations

from solvers.direct import DenseLU
from solvers.inverse import Preconditioner
from solvers.krylov import GMRES, MINRES
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Solver

__all__ = ["default_solver"]

_DENSE = 512


def default_solver(J: LinearOperator, preconditioner: Preconditioner | None, rtol: float | None = None) -> Solver:
    """`DenseLU` for at most 512 unknowns; above that, or with a preconditioner, a Krylov method to the given rtol."""
    if preconditioner is not None:
        return GMRES(rtol)
    if J.shape[1] <= _DENSE:
        return DenseLU()
    return MINRES(rtol) if "symmetric" in J.tags else GMRES(rtol)
