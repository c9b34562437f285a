"""Linear conservation laws that the solution of a problem satisfies exactly, for projections onto them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from pde_benchmarks.problem import Batch
from solvers import LinearOperator

__all__ = ["Conserved", "ConservingProblem"]


class Conserved(NamedTuple):
    """A u = c for output fields u flattened over their grid.

    Attributes
    ----------
    operator
        A, ``(m, n)`` with independent rows: one for all samples, or one of each.
    value
        c, ``(B, m)``.
    """

    operator: LinearOperator
    value: Tensor


class ConservingProblem(ABC):
    """A problem with one output field that satisfies linear laws known without solving it."""

    @abstractmethod
    def conserved(self, inputs: Batch) -> Conserved:
        """The laws for these inputs, in their dtype and on their device."""
