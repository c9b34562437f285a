"""Exceptions of this floor; all derive from `solvers.errors.ScimlError`."""

from __future__ import annotations

from solvers.errors import ScimlError

__all__ = ["MeshError", "MeshFileError", "MorphingError"]


class MeshError(ScimlError, ValueError):
    """A mesh, or an array given with it, is malformed or does not fit the request."""


class MeshFileError(ScimlError, ValueError):
    """A mesh file is missing, foreign, broken, truncated, or of a format that cannot hold what is asked of it."""


class MorphingError(ScimlError, RuntimeError):
    """A morphing failed: wrong topology, missing landmarks, or cells that fold over."""
