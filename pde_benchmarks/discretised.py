"""Problems whose own discrete equation can be solved exactly: the floor of what is learned from its residual."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pde_benchmarks.problem import Batch

__all__ = ["DiscretisedProblem"]


class DiscretisedProblem(ABC):
    """A problem that can find the field on its own grid of which `residual` vanishes."""

    @abstractmethod
    def discrete_solution(self, inputs: Batch) -> Batch:
        """Where `residual` vanishes, computed in float64, in the dtype of the inputs; not differentiable.

        What is between it and `solve` is the error of the residual's own discretisation, which nothing that is learned
        from the residual alone can beat.
        """
