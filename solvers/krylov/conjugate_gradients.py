"""Conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.fused import fused_descent
from solvers.inverse import Inverse
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import require_tag
from solvers.status import Status

__all__ = ["CG"]


class ConjugateGradients(Iteration):
    """Hestenes & Stiefel (1952) with a preconditioner (Saad 2003, algorithm 9.1)."""

    def descend(self, r: Tensor) -> None:
        fused = None if self.record else fused_descent(self.A, self.inverse, r.shape[:-1])
        if fused is not None:
            limit = torch.where(self.status == RUNNING, self.max_iterations - self.iterations, 0)
            self.x, status, steps = fused(self.x, r, self.goal, limit)
            self.status = torch.where(status != RUNNING, status, self.status)
            self.iterations += steps
            self.products += int(steps.max()) if steps.numel() else 0
            return
        self.descend_step_by_step(r)

    def descend_step_by_step(self, r: Tensor) -> None:
        """The algorithm, one pass over the batch per operation."""
        A, moving = self.A, self.status == RUNNING
        z = self.precondition(r)
        p, rz = z.clone(), A.inner(r, z).real
        pAp = torch.ones_like(rz)
        for step in range(1, self.max_iterations + 1):
            Ap = self.apply(p)
            # The scalars of a system that stops are kept: they tell, after the loop, why it stopped.
            pAp = torch.where(moving, A.inner(p, Ap).real, pAp)
            length = rz / pAp
            moving = moving & (pAp > 0) & (length > 0) & (length < torch.inf)
            length = torch.where(moving, length, 0)
            self.x.addcmul_(length, p)
            r.addcmul_(length, Ap, value=-1)
            rr = A.inner(r, r).real
            moving = self.stepped(moving, rr.sqrt())
            if self.is_over(step, moving):
                break
            z = self.precondition(r)
            rz, rz_old = torch.where(moving, rr if z is r else A.inner(r, z).real, rz), rz
            p = torch.addcmul(z, torch.where(moving, rz / rz_old, 0), p, out=p)
        self.diagnose(rz, pAp)

    def diagnose(self, rz: Tensor, pAp: Tensor) -> None:
        """End the systems whose ⟨r, M r⟩ or curvature ⟨p, A p⟩ is not what positive definite M and A give."""
        self.end(~(rz.isfinite() & pAp.isfinite()), Status.NONFINITE_ITERATE)
        self.end(rz <= 0, Status.PRECONDITIONER_INDEFINITE)
        self.end(pAp <= 0, Status.INDEFINITE)


@dataclass(frozen=True)
class CG(KrylovSolver):
    """Conjugate gradients (Hestenes & Stiefel 1952) for Hermitian positive definite systems.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.
    assume_spd
        Accept operators that do not carry the tag "spd".
    """

    assume_spd: bool = False

    iteration: ClassVar[type[Iteration]] = ConjugateGradients
    needs_spd_inverse: ClassVar[bool] = True

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        super().check(A, inverse)
        if not self.assume_spd:
            require_tag(A, "spd", "CG", "use CG(assume_spd=True), MINRES (symmetric) or GMRES")
