"""Conjugate gradients that search the plane of a preconditioned residual and a rule's direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.krylov.directions import Directions
from solvers.krylov.iteration import RUNNING
from solvers.krylov.proposals import RuledCG, RuledIteration

__all__ = ["EnrichedCG"]


class EnrichedConjugateGradients(RuledIteration):
    """Two A-orthogonal directions a step, p from M r and q from the rule: their plane's minimum is one line after
    the other.
    """

    solver: EnrichedCG

    def descend(self, r: Tensor) -> None:
        A, moving = self.A, self.status == RUNNING
        earlier = Directions(A, r, 2 * self.solver.window)
        pAp = torch.ones_like(self.goal)
        pr = torch.ones_like(self.goal, dtype=r.dtype)
        for step in range(1, self.max_iterations + 1):
            proposal = self.propose(r)
            p, Ap = self.direction(r, moving, earlier)
            new_pAp, new_pr = A.inners((p, Ap), (p, r))
            # The scalars of a system that stops are kept: they tell, after the loop, why it stopped.
            pAp, pr = torch.where(moving, new_pAp.real, pAp), torch.where(moving, new_pr, pr)
            length = pr / pAp
            moving = moving & (pAp > 0) & length.isfinite()
            self.advance(r, torch.where(moving, length, 0), p, Ap)
            earlier.keep(p, Ap, pAp, moving)
            self.enrich(r, proposal, moving, earlier)
            moving = self.stepped(moving, A.norm(r))
            if self.is_over(step, moving):
                break
        self.diagnose(pr, pAp)

    def enrich(self, r: Tensor, proposal: Tensor, moving: Tensor, earlier: Directions) -> None:
        """The step along what the proposal adds to the directions so far, where it adds anything but rounding."""
        q = earlier.conjugate_again(proposal)
        Aq = self.apply(q)
        qAq, qr, qq, zz = self.A.inners((q, Aq), (q, r), (q, q), (proposal, proposal))
        new = moving & (qAq.real > 0) & (qq.real > torch.finfo(r.dtype).eps * zz.real)
        self.fallbacks = self.fallbacks + (moving & ~new)
        self.advance(r, torch.where(new, qr / qAq, 0), q, Aq)
        earlier.keep(q, Aq, qAq.real, new)

    def advance(self, r: Tensor, length: Tensor, p: Tensor, Ap: Tensor) -> None:
        """x ← x + length p and r ← r − length A p, in place."""
        self.x.addcmul_(length, p)
        r.addcmul_(length, Ap, value=-1)


@dataclass(frozen=True)
class EnrichedCG(RuledCG):
    """Each step minimises ‖e‖_A over span{N(r/‖r‖), M r}, both made A-orthogonal to the last `window` pairs.

    N is any rule, M the preconditioner of the solve. Because M r is always there, a step is at least as good as one
    of steepest descent with M, and no rule can stall it: with a positive definite M,
    ‖e'‖_A ≤ (κ − 1)/(κ + 1) ‖e‖_A with κ the condition number of M A. One step costs two products with A, one M
    and one N.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history, assume_spd
        As in `FlexibleCG`.
    window
        Number of earlier pairs kept, at least 1.
    rule
        Recipe of the map from residuals (of norm one) to directions, such as a `LearnedPreconditioner`.
        ``stats.fallbacks`` counts the steps to which it added nothing.

    Raises
    ------
    ValueError
        `window` is less than 1.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, LearnedPreconditioner, linear_solve, poisson_operator
    >>> A, b = poisson_operator((16, 16)), torch.ones(256, dtype=torch.float64)
    >>> rule = LearnedPreconditioner(torch.nn.Tanh())
    >>> bool(linear_solve(A, b, EnrichedCG(rule=rule), GeometricMultigrid()).converged)
    True
    """

    iteration: ClassVar[type[RuledIteration]] = EnrichedConjugateGradients
