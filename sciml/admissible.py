"""Fields that satisfy linear laws and stay above a bound: where predictions are moved to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.conservation import Conserved
from sciml.errors import ConfigurationError, LearnerError
from sciml.learners.hard_constraints.projection import LinearConstraint

__all__ = ["Admissible"]

ROUNDS = 300
# Of a violation, relative to the largest value: what rounding leaves.
ROUNDING = 16 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Admissible:
    """The convex set of fields with A u = c and u ≥ lower.

    Parameters
    ----------
    laws
        A and c; None: no law.
    lower
        Least value in every point; None: no bound.

    Raises
    ------
    ConfigurationError
        The bound is not a finite number.

    Examples
    --------
    >>> from solvers import DenseOperator
    >>> one = torch.ones(1, 3, dtype=torch.float64)
    >>> mass = Conserved(DenseOperator(one), 3 * one[:, :1])
    >>> Admissible(mass, lower=0.0).moved(torch.tensor([[4.0, 4.0, -2.0]], dtype=torch.float64))
    tensor([[1.5000, 1.5000, 0.0000]], dtype=torch.float64)
    """

    laws: Conserved | None = None
    lower: float | None = None

    def __post_init__(self) -> None:
        if self.lower is not None and not math.isfinite(self.lower):
            raise ConfigurationError(f"lower={self.lower}: a finite number is expected, e.g. 0 for concentrations.")

    def moved(self, fields: Tensor) -> Tensor:
        """A field of the set for each of the fields ``(B, *shape)``, float64.

        With laws or a bound alone it is the nearest one, hence never farther from any field of the set, the true
        solution included. With both, projections onto either alternate until rounding is all that is left of a
        violation (von Neumann 1933; Bregman 1965), which has the same property.

        Raises
        ------
        LearnerError
            No such field was found: laws and bound contradict each other.
        """
        if self.laws is None or self.lower is None:
            return self._bounded(self._lawful(fields))
        size = 1 + fields.flatten(1).abs().amax(1)
        for _ in range(ROUNDS):
            fields = self._lawful(self._bounded(fields))
            violated = self.lower - fields.flatten(1).amin(1) > ROUNDING * size
            if not violated.any():
                return self._bounded(fields)
        raise LearnerError(
            f"lower={self.lower:g}: no field of sample {int(violated.nonzero()[0])} of the batch stays above it and "
            "satisfies the conservation laws; lower the bound, or ask for one of the two."
        )

    def _lawful(self, fields: Tensor) -> Tensor:
        return fields if self.laws is None else LinearConstraint(self.laws.operator)(fields, self.laws.value)

    def _bounded(self, fields: Tensor) -> Tensor:
        return fields if self.lower is None else fields.clamp(min=self.lower)
