"""Exceptions of the top floor; all derive from `solvers.errors.ScimlError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pde_benchmarks.errors import ConfigurationError
from solvers.errors import ScimlError

__all__ = [
    "ConfigurationError",
    "InferenceError",
    "LearnerError",
    "ObservationError",
    "RunError",
    "ScimlError",
    "TrainingError",
    "about",
]


class LearnerError(ScimlError, ValueError):
    """A learner was given a problem, inputs or weights that do not fit it."""


class RunError(ScimlError, RuntimeError):
    """A run directory is missing, incomplete, of another learner, or written by a newer version."""


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on (non-finite loss, out of memory)."""


class ObservationError(ScimlError, ValueError):
    """Measurements, their noise or their model error cannot be used."""


class InferenceError(ScimlError, RuntimeError):
    """An inference gave no answer that can be relied on (chains that have not mixed, an optimisation cut short).

    Attributes
    ----------
    result
        What was found nevertheless, a `sciml.inference.PosteriorSamples`; None where there is nothing.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Begin the message of whatever the block raises of ours with the file that it is about."""
    try:
        yield
    except ScimlError as error:
        if str(path) not in str(error):
            error.args = (f"{path}: {error}",)
        raise
