"""What `linear_solve` asks of a solver, and what a solver returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from solvers.errors import TagError
from solvers.implicit import Solve, solve_differentiably
from solvers.inverse import Inverse, Preconditioner
from solvers.operators.linear_operator import LinearOperator

__all__ = ["Outcome", "Solver", "require_tag"]


@dataclass(frozen=True)
class Outcome:
    """What a solver returns: `value` ``(*batch, n)``, the rest ``(*batch)``; norms are of the true residual."""

    value: Tensor
    status: Tensor
    iterations: Tensor
    residual_norm: Tensor
    rhs_norm: Tensor
    products: int
    history: Tensor | None = None
    fallbacks: Tensor | None = None
    switched_at: Tensor | None = None


class Solver(ABC):
    """How systems are solved: a small frozen description that holds no data.

    `setup` computes what depends on the operator alone (an `Inverse`: exact for direct solvers, the preconditioner's
    for iterative ones); `solve` uses it for right-hand sides.
    """

    def choose(self, A: LinearOperator, preconditioner: Preconditioner | None) -> tuple[Solver, Preconditioner | None]:
        """The solver and preconditioner that will really run; only `Auto` chooses others than itself and the given."""
        return self, preconditioner

    @abstractmethod
    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        """Raise `TagError`, `ShapeError` or ValueError if this solver does not serve A with this inverse."""

    def setup(self, A: LinearOperator, preconditioner: Preconditioner | None) -> Inverse | None:
        """What depends on A alone."""
        return None if preconditioner is None else preconditioner.setup(A)

    @abstractmethod
    def solve(self, A: LinearOperator, b: Tensor, inverse: Inverse | None, x: Tensor | None) -> Outcome:
        """Solve A x = b from the guess `x` (None: zero) for ``b (*batch, m)``, whose batch covers A's.

        Never raises for a system that fails: its status says so, and the other systems are solved.
        Called outside of autograd. Systems whose b, x or A is not finite end with ``NONFINITE_INPUT`` and NaN.
        """

    def differentiably(self, A: LinearOperator, b: Tensor, forward: Solve, again: Solve) -> Tensor:
        """The solution as autograd follows it, from the equation that defines it: A x = b.

        `forward` computes it for the given A and b; `again` solves what differentiation asks for.
        """
        return solve_differentiably(A, b, forward, again)

    def for_derivatives(self) -> Solver:
        """The solver of the systems that differentiation asks for."""
        return self


def require_tag(A: LinearOperator, tag: str, solver: str, mend: str) -> None:
    """Raise `TagError` unless A claims the property `tag`; `mend` says what else the caller can do."""
    if tag not in A.tags:
        raise TagError(f"{A!r} lacks the tag {tag!r} that {solver} needs: build it with tags={{{tag!r}}}, or {mend}")
