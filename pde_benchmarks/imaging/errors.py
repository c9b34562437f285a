"""Exceptions of the imaging problems; both derive from the package's own hierarchy."""

from __future__ import annotations

from pde_benchmarks.errors import ProblemError
from solvers.errors import SolveError

__all__ = ["ForwardSolveError", "OperatorError"]


class OperatorError(ProblemError):
    """A forward operator was given an array that is not its own, or asked for an adjoint that it does not have."""


class ForwardSolveError(SolveError):
    """The equation behind a nonlinear forward operator could not be solved for at least one sample.

    ``batch_indices`` are the samples that failed and ``status`` says how (see `solvers.errors.SolveError`), so that an
    iteration around the operator can go on with the others, or step back.
    """
