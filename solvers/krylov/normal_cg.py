"""Least squares, and square systems of any kind, by conjugate gradients on the normal equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.implicit import Solve
from solvers.inverse import Inverse, Preconditioner
from solvers.krylov.conjugate_gradients import CG, ConjugateGradients
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.least_squares import gram_operator, least_squares_differentiably
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Solver

__all__ = ["NormalCG"]


class LeastSquaresConjugateGradients(ConjugateGradients):
    """CGLS (Hestenes & Stiefel 1952; Björck 1996, algorithm 7.4.1): CG on AᴴA with r kept instead of Aᴴr.

    The residual that is measured is that of the normal equations, Aᴴ r.
    """

    def apply_adjoint(self, r: Tensor) -> Tensor:
        """Aᴴ r, counted. Not to be changed in place."""
        self.products += 1
        return self.A._rmv(r)

    def measure(self, r: Tensor) -> Tensor:
        return self.A.norm(self.apply_adjoint(r))

    def descend(self, r: Tensor) -> None:
        A, moving = self.A, self.status == RUNNING
        s = self.apply_adjoint(r)
        z = self.precondition(s)
        p, sz = z.clone(), A.inner(s, z).real
        curvature = torch.ones_like(sz)
        for step in range(1, self.max_iterations + 1):
            Ap = self.apply(p)
            # The scalars of a system that stops are kept: they tell, after the loop, why it stopped.
            curvature = torch.where(moving, A.inner(Ap, Ap).real, curvature)
            length = sz / curvature
            moving = moving & (curvature > 0) & (length > 0) & (length < torch.inf)
            length = torch.where(moving, length, 0)
            self.x.addcmul_(length, p)
            r.addcmul_(length, Ap, value=-1)
            s = self.apply_adjoint(r)
            ss = A.inner(s, s).real
            moving = self.stepped(moving, ss.sqrt())
            if self.is_over(step, moving):
                break
            z = self.precondition(s)
            sz, sz_old = torch.where(moving, ss if z is s else A.inner(s, z).real, sz), sz
            p = torch.addcmul(z, torch.where(moving, sz / sz_old, 0), p, out=p)
        self.diagnose(sz, curvature)


@dataclass(frozen=True)
class NormalCG(KrylovSolver):
    """The x with the smallest ‖b − A x‖₂ for any m × n matrix, by CGLS: CG on AᴴA x = Aᴴ b, without forming AᴴA.

    It converges like the condition number squared: for square systems it is the last resort. Without full column rank
    it finds the shortest solution (from x₀ = 0), whose derivatives are not defined.

    Parameters
    ----------
    rtol, atol
        A system has converged when ‖Aᴴ r‖₂ ≤ max(rtol ‖Aᴴ b‖₂, atol), r = b − A x; these norms are the
        ``residual_norm`` and ``rhs_norm`` of `Stats`.
    max_iterations, check_every, record_history
        As in `KrylovSolver`. One iteration takes a product with A and one with Aᴴ. A preconditioner is set up for AᴴA.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> line = CSROperator.from_dense(torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    >>> linear_solve(line, torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64), NormalCG()).value
    tensor([-0.5000,  2.5000], dtype=torch.float64)
    """

    iteration: ClassVar[type[Iteration]] = LeastSquaresConjugateGradients
    needs_spd_inverse: ClassVar[bool] = True
    needs_square: ClassVar[bool] = False

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        return None if preconditioner is None else preconditioner.setup(gram_operator(A))

    def differentiably(self, A: LinearOperator, b: Tensor, forward: Solve, again: Solve) -> Tensor:
        return least_squares_differentiably(A, b, forward, again)

    def for_derivatives(self) -> Solver:
        return CG(self.rtol, self.max_iterations, self.atol, self.check_every, assume_spd=True)
