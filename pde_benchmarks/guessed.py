"""Problems that can guess their own solution cheaply: where a learner with the physics inside starts from."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pde_benchmarks.problem import Batch, FieldSpec, Problem

__all__ = ["GuessedProblem"]


class GuessedProblem(Problem):
    """A problem whose equation gives a first guess of the solution for little time.

    ``guesses`` names the ways to make one, cheapest first.
    """

    guesses: ClassVar[tuple[str, ...]]

    @abstractmethod
    def first_guess(self, inputs: Batch, kind: str) -> Batch:
        """A cheap solution, in the inputs' dtype, differentiable in the inputs unless the problem says otherwise.

        Raises
        ------
        ProblemError
            If ``kind`` is not one of `guesses`.
        """

    @property
    def hint_specs(self) -> tuple[FieldSpec, ...]:
        """The fields that `hints` gives; none by default."""
        return ()

    def hints(self, inputs: Batch, guess: Batch) -> Batch:
        """Fields ``(count, channels, *grid)`` that tell a learner where ``guess`` is wrong: those of `hint_specs`."""
        return Batch({})
