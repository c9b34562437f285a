"""How one system of a batch ended."""

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """Outcome of one system; 0 is success, so ``status.any()`` asks whether anything failed."""

    CONVERGED = 0
    MAX_ITERATIONS = 1
    BREAKDOWN = 2
    INDEFINITE = 3
    SINGULAR = 4
    NONFINITE_INPUT = 5
    NONFINITE_ITERATE = 6
    STAGNATION = 7
    PRECONDITIONER_INDEFINITE = 8
    PRECONDITIONER_UNDEFINED = 9
