"""How an integration ends, and what is raised when it cannot begin or end well."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from sciml.errors import LearnerError

if TYPE_CHECKING:
    from sciml.learners.neural_ode.solved import Solved

__all__ = ["IntegrationInputError", "SolverError", "SolverStatus"]


class SolverStatus(IntEnum):
    """How the integration of one sample ended; 0 is success, so ``status.any()`` asks whether anything failed."""

    SUCCESS = 0
    MAX_STEPS = 1
    STEP_UNDERFLOW = 2
    NON_FINITE = 3
    STIFF = 4


class IntegrationInputError(LearnerError):
    """Times, tolerances, a state, a right-hand side or a regularizer that the solver cannot use."""


class SolverError(LearnerError, RuntimeError):
    """At least one sample did not reach its last time.

    Attributes
    ----------
    status
        How the first failing sample ended.
    t
        The time that it reached.
    sample
        Its index in the batch.
    solution
        Everything computed nevertheless; outputs after the time reached are NaN.
    """

    def __init__(
        self, message: str, status: SolverStatus, t: float, sample: int, solution: Solved | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.t = t
        self.sample = sample
        self.solution = solution
