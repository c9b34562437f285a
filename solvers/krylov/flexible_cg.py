"""Conjugate gradients whose preconditioner may change from step to step: nonlinear, inexact or learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.krylov.directions import Directions
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import require_tag
from solvers.status import Status

__all__ = ["FlexibleCG"]


class FlexibleConjugateGradients(Iteration):
    """Notay (2000): every new direction is made A-orthogonal to the last ones explicitly."""

    solver: FlexibleCG

    def descend(self, r: Tensor) -> None:
        A, moving = self.A, self.status == RUNNING
        earlier = Directions(A, r, self.solver.window)
        pAp = torch.ones_like(self.goal)
        pr = torch.ones_like(self.goal, dtype=r.dtype)
        for step in range(1, self.max_iterations + 1):
            p, Ap = self.direction(r, moving, earlier)
            new_pAp, new_pr = A.inners((p, Ap), (p, r))
            # The scalars of a system that stops are kept: they tell, after the loop, why it stopped.
            pAp, pr = torch.where(moving, new_pAp.real, pAp), torch.where(moving, new_pr, pr)
            length = pr / pAp
            moving = moving & (pAp > 0) & length.isfinite()
            length = torch.where(moving, length, 0)
            self.x.addcmul_(length, p)
            r.addcmul_(length, Ap, value=-1)
            moving = self.stepped(moving, A.norm(r))
            if self.is_over(step, moving):
                break
            earlier.keep(p, Ap, pAp, moving)
        self.diagnose(pr, pAp)

    def direction(self, r: Tensor, moving: Tensor, earlier: Directions) -> tuple[Tensor, Tensor]:
        """The next p, A-orthogonal to the `earlier` ones, and A p."""
        p = earlier.conjugate(self.precondition(r))
        return p, self.apply(p)

    def diagnose(self, pr: Tensor, pAp: Tensor) -> None:
        """End the systems whose last ⟨p, r⟩ and curvature ⟨p, A p⟩ left no step to take."""
        self.end(~(pr.isfinite() & pAp.isfinite()), Status.NONFINITE_ITERATE)
        self.end((pAp == 0) & (pr == 0), Status.BREAKDOWN)
        self.end(pAp <= 0, Status.INDEFINITE)


@dataclass(frozen=True)
class FlexibleCG(KrylovSolver):
    """Conjugate gradients for any preconditioner, or any rule that proposes directions (Notay 2000).

    Each z = M(r) is made A-orthogonal to the last `window` directions, and the step along it is the exact minimum of
    the energy, whatever M is. With a fixed Hermitian positive definite M it takes the steps of `CG`.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.
    window
        Number of earlier directions kept, at least 1; each costs two vectors and two inner products a step.
    assume_spd
        Accept operators that do not carry the tag "spd".

    Raises
    ------
    ValueError
        `window` is less than 1.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, linear_solve, poisson_operator
    >>> A, b = poisson_operator((16, 16)), torch.ones(256, dtype=torch.float64)
    >>> unsymmetric = GeometricMultigrid(pre=2, post=0)
    >>> bool(linear_solve(A, b, FlexibleCG(window=2), unsymmetric).converged)
    True
    """

    window: int = 1
    assume_spd: bool = False

    iteration: ClassVar[type[Iteration]] = FlexibleConjugateGradients
    is_flexible: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window = {self.window}: FlexibleCG keeps at least 1 direction")

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        super().check(A, inverse)
        if not self.assume_spd:
            require_tag(A, "spd", "FlexibleCG", "use FlexibleCG(assume_spd=True), or FGMRES")
