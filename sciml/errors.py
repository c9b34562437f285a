"""Exceptions of the top floor; all derive from `solvers.errors.ScimlError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pde_benchmarks.errors import ConfigurationError
from solvers.errors import ScimlError

__all__ = ["ConfigurationError", "LearnerError", "RunError", "ScimlError", "TrainingError", "about"]


class LearnerError(ScimlError, ValueError):
    """A learner was given a problem, inputs or weights that do not fit it."""


class RunError(ScimlError, RuntimeError):
    """A run directory is missing, incomplete, of another learner, or written by a newer version."""


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on (non-finite loss, out of memory)."""


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Begin the message of whatever the block raises of ours with the file that it is about."""
    try:
        yield
    except ScimlError as error:
        if str(path) not in str(error):
            error.args = (f"{path}: {error}",)
        raise
