"""The package's exceptions; every one derives from `ScimlError` and from the built-in class a caller would expect."""

from collections.abc import Sequence

from solvers.status import Status

__all__ = [
    "Breakdown",
    "DTypeError",
    "DeviceError",
    "DistributedError",
    "FileError",
    "Indefinite",
    "MissingPackageError",
    "NonFinite",
    "NotConverged",
    "PatternError",
    "ScimlError",
    "ShapeError",
    "Singular",
    "SolveError",
    "TagError",
    "ToleranceError",
]


class ScimlError(Exception):
    """Root of every exception raised on purpose by `solvers`, `meshes`, `pde_benchmarks` and `sciml`."""


class ShapeError(ScimlError, ValueError):
    """An array has the wrong shape."""


class DTypeError(ScimlError, TypeError):
    """An array has the wrong dtype."""


class DeviceError(ScimlError, ValueError):
    """Arrays that must live together are on different devices."""


class DistributedError(ScimlError, RuntimeError):
    """The processes of a distributed run are not set up, or do not agree."""


class FileError(ScimlError, OSError, ValueError):
    """A file of a matrix or vector is missing, foreign, broken, holds unusable values, or cannot be written."""


class PatternError(ScimlError, ValueError):
    """A sparsity pattern is unsorted, has duplicates, or points outside the matrix."""


class TagError(ScimlError, ValueError):
    """A solver needs a property (symmetric, spd) that the operator does not claim."""


class ToleranceError(ScimlError, ValueError):
    """A tolerance that the precision does not reach, or a limit or interval of steps that makes no sense."""


class MissingPackageError(ScimlError, ImportError):
    """An optional package is not installed; the message names it."""


class SolveError(ScimlError, RuntimeError):
    """At least one system of the batch was not solved.

    Attributes
    ----------
    status
        `Status` of each failing system.
    batch_indices
        Flat indices of the failing systems.
    residuals
        Their true relative residuals.
    """

    def __init__(
        self,
        message: str,
        status: Sequence[Status] = (),
        batch_indices: Sequence[int] = (),
        residuals: Sequence[float] = (),
    ) -> None:
        super().__init__(message)
        self.status = tuple(status)
        self.batch_indices = tuple(batch_indices)
        self.residuals = tuple(residuals)


class NotConverged(SolveError):
    """The tolerance was not reached (iteration limit or stagnation)."""


class Indefinite(SolveError):
    """The operator or the preconditioner is not positive definite."""


class Singular(SolveError):
    """The operator is singular and the right-hand side is not in its range."""


class Breakdown(SolveError):
    """The recurrence divided by zero."""


class NonFinite(SolveError):
    """NaN or infinity in the input or in an iterate."""
