"""Exceptions of this floor; all derive from `solvers.errors.ScimlError`."""

from __future__ import annotations

from solvers.errors import ScimlError

__all__ = ["ConfigurationError", "DatasetError", "ProblemError"]


class ConfigurationError(ScimlError, ValueError):
    """An unknown name or key, or a value that cannot be used."""


class ProblemError(ScimlError, ValueError):
    """A problem was asked for something it cannot do, or given fields that are not its own."""


class DatasetError(ScimlError, ValueError):
    """A data file is foreign, broken, truncated, or holds values that cannot be used."""
