"""What methods with a rule of directions share: any map r ↦ q proposes, a preconditioner stands by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from solvers.errors import TagError
from solvers.inverse import Inverse, Preconditioner
from solvers.krylov.flexible_cg import FlexibleCG, FlexibleConjugateGradients
from solvers.krylov.iteration import KrylovSolver
from solvers.operators.linear_operator import LinearOperator

__all__ = ["Proposals", "RuledCG", "RuledIteration"]


class Proposals(Inverse):
    """A rule beside the preconditioner M that stands by; applied to r it is M."""

    def __init__(self, rule: Inverse, standby: Inverse | None) -> None:
        self.rule, self.standby = rule, standby
        self.is_linear = standby is None or standby.is_linear
        self.is_spd = standby is None or standby.is_spd

    def __call__(self, r: Tensor) -> Tensor:
        return r if self.standby is None else self.standby(r)


class RuledIteration(FlexibleConjugateGradients):
    """Flexible conjugate gradients whose preconditioner is the one that stands by; `propose` asks the rule."""

    def __init__(
        self,
        solver: KrylovSolver,
        A: LinearOperator,
        inverse: Inverse | None,
        b: Tensor,
        x: Tensor,
        floor: Tensor,
    ) -> None:
        assert isinstance(inverse, Proposals)  # RuledCG.check saw to it
        super().__init__(solver, A, inverse.standby, b, x, floor)
        self.rule = inverse.rule
        self.fallbacks: Tensor = torch.zeros_like(self.iterations)

    def propose(self, r: Tensor) -> Tensor:
        """The rule's q for r / ‖r‖₂, of largest entry one; zero where it is zero or not finite."""
        size = self.A.norm(r)
        q = self.rule(r / torch.where(size > 0, size, 1))
        largest = self.A.largest(q)
        usable = (largest > 0) & (largest < torch.inf)
        return torch.where(usable, q, 0) / torch.where(usable, largest, 1)


@dataclass(frozen=True)
class RuledCG(FlexibleCG):
    """Parameters of the methods that follow a rule; the preconditioner of the solve is the one that stands by.

    Parameters
    ----------
    rule
        Recipe of any map from residuals to directions: nonlinear, unsymmetric, even wrong. Its scale is of no matter.
    """

    rule: Preconditioner = field(kw_only=True)

    iteration: ClassVar[type[RuledIteration]]

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        return Proposals(self.rule.setup(A), super().setup(A, preconditioner))

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        super().check(A, inverse)
        name = type(self).__name__
        if not isinstance(inverse, Proposals):
            raise TagError(
                f"{type(inverse).__name__} holds no rule of directions, as {name} needs: let linear_solve set it up "
                "(no state= of another solver, no nullspace=; a DiffusionOperator knows its kernel)"
            )
