"""What learners with a constraint can choose of it, and the constraint that they then have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Generator, Tensor

from pde_benchmarks.termwise import TermwiseResidual
from sciml.errors import ConfigurationError
from sciml.learners.grid_learner import require_at_least
from sciml.learners.hard_constraints.bounds import LowerBound, Unbounded
from sciml.learners.hard_constraints.constrained_field import ConstrainedField
from sciml.learners.hard_constraints.expert_counts import boxes_per_axis, parse_experts
from sciml.learners.hard_constraints.expert_parallel import ExpertParallel
from sciml.learners.hard_constraints.layer import ConstraintLayer
from sciml.learners.hard_constraints.mixture import Coupled, Independent, MixtureOfExperts
from sciml.learners.hard_constraints.norms import ErrorNorm, PlainNorm
from sciml.learners.hard_constraints.residual_size import Norm
from sciml.learners.hard_constraints.routers import BoxRouter

__all__ = ["Constraint", "ConstraintConfig"]

Constraint = Callable[[TermwiseResidual, Tensor, Tensor, Tensor | None, Generator | None], ConstrainedField]


@dataclass(frozen=True)
class ConstraintConfig:
    """How the weights of the basis functions are found.

    Parameters
    ----------
    norm
        ``error``: the residual is carried through an approximate inverse of its derivative, and is then the error to
        first order; ``plain``: its rows themselves.
    experts
        1: one solve for the whole grid. A number such as 8: so many boxes, split over the axes of space. Or boxes along
        each axis, such as ``"1 4"``.
    coupling
        ``coupled``: one least squares for the blended field of all experts; ``independent``: every expert by itself.
    overlap
        Width of the windows by which experts are blended, relative to a box; None: 0.5 coupled, 0 independent.
    points
        Rows that a solve uses, of each expert, drawn anew each time; None: all.
    updates
        In the error norm, Gauss–Newton steps before the last solve.
    ridge
        Relative to the length of each column.
    lower_bound
        u is nowhere below this; None: no bound.
    """

    norm: Norm = "error"
    experts: int | str = 1
    coupling: Literal["coupled", "independent"] = "coupled"
    overlap: float | None = None
    points: int | None = None
    updates: int = 2
    ridge: float = 1e-10
    lower_bound: float | None = None

    def __post_init__(self) -> None:
        parse_experts(self.experts)
        require_at_least(0, updates=self.updates, ridge=self.ridge)
        require_at_least(1, points=self.points)
        for name, choices in (("norm", ("error", "plain")), ("coupling", ("coupled", "independent"))):
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"{name} = {getattr(self, name)!r}: use one of {', '.join(choices)}.")
        if self.lower_bound is not None and not math.isfinite(self.lower_bound):
            raise ConfigurationError(
                f"lower_bound = {self.lower_bound:g}: expected a finite number, e.g. 0 for a concentration; leave it "
                "out for no bound."
            )
        if self.overlap is not None and not (0 if self.coupling == "independent" else 1e-6) <= self.overlap <= 1:
            raise ConfigurationError(
                f"overlap = {self.overlap}: a part of a box is expected, at most 1; coupled experts need one above 0."
            )

    def layer(self) -> ConstraintLayer:
        """How one expert solves."""
        norm = ErrorNorm(points=self.points, updates=self.updates) if self.norm == "error" else None
        bound = Unbounded() if self.lower_bound is None else LowerBound(self.lower_bound)
        return ConstraintLayer(norm or PlainNorm(points=self.points), ridge=self.ridge, bound=bound, quiet=True)

    def router(self, shape: tuple[int, ...], time_first: bool) -> BoxRouter | None:
        """The boxes of the experts; None for one solve.

        Raises
        ------
        ConfigurationError
            If they do not fit the grid.
        """
        counts = boxes_per_axis(self.experts, shape, time_first)
        return None if set(counts) == {1} else BoxRouter(counts)

    def constraint(self, router: BoxRouter | None) -> Constraint:
        """The constraint with these boxes."""
        if router is None:
            return self.layer()
        return MixtureOfExperts(self.layer(), router, self._coupling())

    def over_processes(self, router: BoxRouter | None) -> Constraint:
        """The same constraint, its experts shared by all processes.

        Raises
        ------
        ConfigurationError
            If there is one expert only.
        """
        if router is None:
            raise ConfigurationError(
                "experts over processes with one solve: use experts=2 or more, or share the samples instead "
                "(parallel=samples)."
            )
        return ExpertParallel(self.layer(), router, self._coupling())

    def _coupling(self) -> Independent | Coupled:
        if self.coupling == "independent":
            return Independent(0.0 if self.overlap is None else self.overlap)
        return Coupled(0.5 if self.overlap is None else self.overlap)
