"""Conjugate gradients along the directions of any rule, with a preconditioner that takes over where the rule fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.errors import ToleranceError
from solvers.inverse import Inverse
from solvers.krylov.directions import Directions
from solvers.krylov.iteration import KrylovSolver
from solvers.krylov.proposals import RuledCG, RuledIteration
from solvers.operators.linear_operator import LinearOperator

__all__ = ["SafeguardedCG"]

_FLATTEST = 1e-8  # of cos²(q, r): a step along a flatter direction changes nothing
_MEMORY = 3  # steps over which progress is judged


class SafeguardedConjugateGradients(RuledIteration):
    """The loop of Kaneda et al. (2023) with its gap closed: there ⟨q, r⟩ = 0 is a step of length zero, for ever."""

    solver: SafeguardedCG

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
        self.switched_at: Tensor = torch.full_like(self.iterations, -1)
        self.recent: list[Tensor] = []

    def descend(self, r: Tensor) -> None:
        self.recent = []
        super().descend(r)

    def direction(self, r: Tensor, moving: Tensor, earlier: Directions) -> tuple[Tensor, Tensor]:
        self.judge_progress(r, moving, earlier)
        asked = moving & (self.switched_at < 0)
        if not asked.any():
            return super().direction(r, moving, earlier)
        q = earlier.conjugate_again(self.propose(r))
        Aq = self.apply(q)
        accepted = asked & self.is_descent(q, Aq, r)
        self.fallbacks = self.fallbacks + (asked & ~accepted)
        if (accepted | ~moving).all():
            return q, Aq
        p, Ap = super().direction(r, moving, earlier)
        return torch.where(accepted, q, p), torch.where(accepted, Aq, Ap)

    def is_descent(self, q: Tensor, Aq: Tensor, r: Tensor) -> Tensor:
        """Whether the curvature along q is positive and q is not (nearly) orthogonal to r, ``(*batch, 1)``."""
        qAq, qr, qq, rr = self.A.inners((q, Aq), (q, r), (q, q), (r, r))
        return (qAq.real > 0) & (qr.abs() ** 2 > _FLATTEST * qq.real * rr.real)

    def judge_progress(self, r: Tensor, moving: Tensor, earlier: Directions) -> None:
        """Give the rule up in systems whose residual fell too slowly over the last steps; start afresh there."""
        self.recent.append(self.A.norm(r))
        if len(self.recent) <= _MEMORY:
            return
        slow = self.recent[-1] > self.solver.slowest**_MEMORY * self.recent.pop(0)
        switch = slow & moving & (self.switched_at < 0)
        self.switched_at = torch.where(switch, self.iterations, self.switched_at)
        earlier.forget(switch)


@dataclass(frozen=True)
class SafeguardedCG(RuledCG):
    """Steps along the directions of any rule, made A-orthogonal to the last `window` (Kaneda et al. 2023), guarded.

    A direction q is rejected if it is not finite, ⟨q, A q⟩ ≤ 0 or ⟨q, r⟩² ≤ 1e-8 ‖q‖² ‖r‖²; the preconditioned residual
    M r takes its place (``stats.fallbacks``). A system whose residual fell by less than `slowest`³ over three steps
    goes on by conjugate gradients with M (``stats.switched_at``). Every step is the exact minimum of the energy along
    its direction, so that ‖e‖_A never grows, whatever the rule; with a positive definite M each solve converges.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history, window, assume_spd
        As in `FlexibleCG`.
    rule
        Recipe of the map from residuals (of norm one) to directions, such as a `LearnedPreconditioner`.
    slowest
        Mean factor by which a step must reduce ‖r‖₂; infinity never switches.

    Raises
    ------
    ValueError
        `window` is less than 1.
    ToleranceError
        `slowest` is not positive.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, LearnedPreconditioner, linear_solve, poisson_operator
    >>> A, b = poisson_operator((16, 16)), torch.ones(256, dtype=torch.float64)
    >>> silent = LearnedPreconditioner(torch.nn.Hardshrink(torch.inf))  # always zero
    >>> stats = linear_solve(A, b, SafeguardedCG(rule=silent), GeometricMultigrid()).stats
    >>> int(stats.fallbacks) == int(stats.iterations) < 12
    True
    """

    slowest: float = 0.6

    iteration: ClassVar[type[RuledIteration]] = SafeguardedConjugateGradients

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.slowest > 0:
            raise ToleranceError(
                f"slowest = {self.slowest}: a positive factor per step is expected, e.g. 0.6; math.inf never switches"
            )
