"""Exceptions of the top floor; all derive from `solvers.errors.ScimlError`."""

from __future__ import annotations

from pde_benchmarks.errors import ConfigurationError
from solvers.errors import ScimlError

__all__ = ["ConfigurationError", "LearnerError", "RunError", "ScimlError", "TrainingError"]


class LearnerError(ScimlError, ValueError):
    """A learner was given a problem, inputs or weights that do not fit it."""


class RunError(ScimlError, RuntimeError):
    """A run directory is missing, incomplete, of another learner, or written by a newer version."""


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on (non-finite loss, out of memory)."""
