"""BiCGStab: any square matrix, short recurrences, two products with A a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.operators.linear_operator import LinearOperator
from solvers.status import Status

__all__ = ["BiCGStab"]


class BiConjugateGradientsStabilised(Iteration):
    """Van der Vorst (1992), preconditioned from the right, so that r is the residual of A x = b itself.

    A system whose recurrence loses its way (a scalar that it divides by vanishes) waits for the others and begins
    again with the shadow r₀ := r; if that happens twice, it ends with BREAKDOWN.
    """

    def __init__(
        self,
        solver: KrylovSolver,
        A: LinearOperator,
        inverse: Inverse | None,
        b: Tensor,
        x: Tensor,
        floor: Tensor,
    ) -> None:
        super().__init__(solver, A, inverse, b, x, floor)
        self.restarted = torch.zeros_like(self.goal, dtype=torch.bool)

    def descend(self, r: Tensor) -> None:
        A, moving, eps = self.A, self.status == RUNNING, torch.finfo(r.dtype).eps
        shadow, p = r.clone(), r.clone()
        rho = A.inner(r, r)
        shadow_norm = rho.real.sqrt()
        for step in range(1, self.max_iterations + 1):
            Mp = self.precondition(p)
            v = self.apply(Mp)
            shadow_v, vv = A.inners((shadow, v), (v, v))
            lost = moving & (shadow_v.abs() <= eps * shadow_norm * vv.real.sqrt())
            moving = moving & ~lost
            alpha = torch.where(moving, rho / shadow_v, 0)
            r.addcmul_(alpha, v, value=-1)
            Mr = self.precondition(r)
            t = self.apply(Mr)
            tr, tt, rr = A.inners((t, r), (t, t), (r, r))
            # ω = 0 where t is orthogonal to r: half a step is taken, and the next one cannot be.
            flat = tr.abs() <= eps * (tt.real * rr.real).sqrt()
            omega = torch.where(moving & ~flat, tr / tt, 0)
            self.x.addcmul_(alpha, Mp).addcmul_(omega, Mr)
            r.addcmul_(omega, t, value=-1)
            new_rho, rr = A.inners((shadow, r), (r, r))
            residual = rr.real.sqrt()
            moving = self.stepped(moving, residual)
            lost = lost | (moving & (flat | (new_rho.abs() <= eps * shadow_norm * residual)))
            moving = moving & ~lost
            self.end(lost & self.restarted, Status.BREAKDOWN)
            self.restarted |= lost
            if self.is_over(step, moving):
                return
            beta = torch.where(moving, new_rho / rho * (alpha / omega), 0)
            p = torch.addcmul(r, beta, p.addcmul_(omega, v, value=-1), out=p)
            rho = torch.where(moving, new_rho, rho)


@dataclass(frozen=True)
class BiCGStab(KrylovSolver):
    """Stabilised biconjugate gradients (van der Vorst 1992) for any square matrix.

    Seven vectors of memory whatever the number of steps. One iteration takes two products with A and two with M.
    The residual may jump; where it breaks down or stagnates, use `GMRES`.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0], [-1.0, 3.0]], dtype=torch.float64))
    >>> linear_solve(A, torch.tensor([3.0, 2.0], dtype=torch.float64), BiCGStab()).value.round(decimals=8)
    tensor([1., 1.], dtype=torch.float64)
    """

    iteration: ClassVar[type[Iteration]] = BiConjugateGradientsStabilised
