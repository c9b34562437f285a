"""Conjugate gradients with one reduction a step, for distributed operators and devices on which reductions wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.krylov.conjugate_gradients import ConjugateGradients
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import require_tag

__all__ = ["SingleReductionCG"]


class SingleReductionConjugateGradients(ConjugateGradients):
    """Chronopoulos & Gear (1989): ⟨p, A p⟩ = ⟨z, A z⟩ − β² ⟨p, A p⟩ of the step before, so that nothing waits for p.

    That difference may lose all its digits to cancellation: a curvature that is not positive is computed once more from
    p itself, before the matrix is called indefinite; if it is positive after all, the iteration begins again.
    """

    def descend(self, r: Tensor) -> None:
        A, moving = self.A, self.status == RUNNING
        p, Ap = torch.zeros_like(r), torch.zeros_like(r)
        rz = pAp = torch.ones_like(self.goal)
        for step in range(self.max_iterations + 1):
            z = self.precondition(r)
            Az = self.apply(z)
            new_rz, zAz, rr = (product.real for product in A.inners((r, z), (z, Az), (r, r)))
            if step > 0:  # the norm that this reduction brings along is that of the residual before this step
                moving = self.stepped(moving, rr.sqrt())
                if self.is_over(step, moving):
                    break
            beta = torch.where(moving, new_rz / rz, 0) if step > 0 else torch.zeros_like(rz)
            # The scalars of a system that stops are kept: they tell, after the loop, why it stopped.
            pAp = torch.where(moving, zAz - beta.square() * pAp, pAp)
            rz = torch.where(moving, new_rz, rz)
            p.mul_(torch.where(moving, beta, 1)).addcmul_(moving.to(p.dtype), z)
            length = rz / pAp
            moving = moving & (pAp > 0) & (length > 0) & (length < torch.inf)
            length = torch.where(moving, length, 0)
            Ap = torch.addcmul(Az, beta, Ap, out=Ap)
            self.x.addcmul_(length, p)
            r.addcmul_(length, Ap, value=-1)
        if bool((pAp <= 0).any()):
            pAp = torch.where(pAp <= 0, A.inner(p, self.apply(p)).real, pAp)
        self.diagnose(rz, pAp)


@dataclass(frozen=True)
class SingleReductionCG(KrylovSolver):
    """Conjugate gradients with all inner products of a step in one reduction (Chronopoulos & Gear 1989).

    The iterates of `CG` for one more vector, one more product with A at the end and slightly more rounding: worth it
    where an inner product means waiting for other devices.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.
    assume_spd
        Accept operators that do not carry the tag "spd".

    Examples
    --------
    >>> import torch
    >>> from solvers import linear_solve, poisson_operator
    >>> A, b = poisson_operator((16, 16)), torch.ones(256, dtype=torch.float64)
    >>> bool(linear_solve(A, b, SingleReductionCG()).converged)
    True
    """

    assume_spd: bool = False

    iteration: ClassVar[type[Iteration]] = SingleReductionConjugateGradients
    needs_spd_inverse: ClassVar[bool] = True

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        super().check(A, inverse)
        if not self.assume_spd:
            require_tag(A, "spd", "SingleReductionCG", "use SingleReductionCG(assume_spd=True), MINRES or GMRES")
