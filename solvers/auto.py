"""The solver for those who do not want to choose one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from solvers.direct import DenseCholesky, DenseLU, SuperLU
from solvers.fast_poisson import FastPoisson, is_separable
from solvers.inverse import Inverse, Preconditioner
from solvers.krylov import CG, GMRES, MINRES, BiCGStab, Fallback, NormalCG
from solvers.multigrid import GeometricMultigrid, SmoothedAggregation
from solvers.operators.csr import CSROperator
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners import IncompleteLU, Jacobi
from solvers.solver import Outcome, Solver

__all__ = ["Auto"]

Choice = tuple[Solver, Preconditioner | None]

#: Longest axis whose eigenvectors are computed: 0.15 s on one core.
_AXIS = 1024
#: Unknowns of the coarsest grid that geometric multigrid may reach.
_COARSEST = 1024
#: Largest dense matrix, and most entries of all dense matrices of a batch (half a gigabyte).
_DENSE, _DENSE_ENTRIES = 512, 2**26
#: Largest sparse matrix that is factored, and most of them: the batch is a loop.
_SPARSE, _SPARSE_COUNT = 20_000, 16


@dataclass(frozen=True)
class Auto(Solver):
    """The first in this list that serves the operator; ``Stats.method`` says which one ran.

    1. `DiffusionOperator` with a coefficient that does not vary across its axes: `FastPoisson`.
    2. Other `DiffusionOperator`: `CG` with `GeometricMultigrid`, or `SmoothedAggregation` if its periodic axes do not
       halve.
    3. At most 512 unknowns: `DenseCholesky` (tag "spd") or `DenseLU`.
    4. At most 20 000 unknowns with stored entries on the CPU, at most 16 systems: `SuperLU`.
    5. Tag "spd": `CG` with `SmoothedAggregation`, or with `Jacobi` without stored entries.
    6. Tag "symmetric": `MINRES`.
    7. Everything else: `BiCGStab`, and `GMRES` for the systems on which it fails, with `IncompleteLU` if A stores its
       entries and has no zero on the diagonal.

    With a preconditioner given: `CG` with it (tag "spd"), else `BiCGStab` and `GMRES` with it. Matrices that are not
    square: `NormalCG`.

    Parameters
    ----------
    rtol
        Of the solver that is chosen; None: its own default.

    Examples
    --------
    >>> import torch
    >>> from solvers import linear_solve, poisson_operator
    >>> linear_solve(poisson_operator((32, 32)), torch.ones(1024, dtype=torch.float64), Auto()).stats.method
    'FastPoisson'
    """

    rtol: float | None = None

    @torch.no_grad()
    def choose(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Choice:
        if A.shape[0] != A.shape[1]:
            return NormalCG(self.rtol), preconditioner
        if preconditioner is not None:
            return (CG(self.rtol) if "spd" in A.tags else self._unsymmetric()), preconditioner
        if isinstance(A, DiffusionOperator):
            return self._on_grid(A)
        here = not A.is_distributed  # a distributed matrix is in no place where it could be factored
        systems, n, stored = A.batch_shape.numel(), A.shape[0], isinstance(A, CSROperator) or hasattr(A, "to_csr")
        if here and n <= _DENSE and systems * n**2 <= _DENSE_ENTRIES:
            return (DenseCholesky(self.rtol) if "spd" in A.tags else DenseLU(self.rtol)), None
        if here and stored and n <= _SPARSE and systems <= _SPARSE_COUNT and A.device.type == "cpu":
            return SuperLU(self.rtol), None
        if "spd" in A.tags:
            return CG(self.rtol), SmoothedAggregation() if here and stored else Jacobi()
        if "symmetric" in A.tags:
            return MINRES(self.rtol), None
        factored = here and stored and bool((A.diagonal() != 0).all())
        return self._unsymmetric(), IncompleteLU() if factored else None

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        self.choose(A, None)[0].check(A, None)

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        solver, preconditioner = self.choose(A, preconditioner)
        return solver.setup(A, preconditioner)

    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        """Choose and set up for this operator; `linear_solve` does so once, and then calls the solver chosen."""
        solver, preconditioner = self.choose(A, None)
        return solver.solve(A, b, solver.setup(A, preconditioner), x)

    def _on_grid(self, A: DiffusionOperator) -> Choice:
        if max(A.grid) <= _AXIS and is_separable(A):
            return FastPoisson(self.rtol), None
        return CG(self.rtol), GeometricMultigrid() if _coarsens(A) else SmoothedAggregation()

    def _unsymmetric(self) -> Fallback:
        return Fallback(BiCGStab(self.rtol), GMRES(self.rtol))


def _coarsens(A: DiffusionOperator) -> bool:
    """Whether the grid comes down to a size that is solved densely, though periodic axes of odd length stop it."""
    grid = A.grid
    while prod(grid) > _COARSEST:
        if any(wraps and n % 2 and n > 1 for n, wraps in zip(grid, A.periodic, strict=True)):
            return False
        grid = tuple((n + 1) // 2 for n in grid)
    return True
