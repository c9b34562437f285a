"""What people hand to `linear_solve` by mistake, and what they meant."""

from __future__ import annotations

from typing import Any

import scipy.sparse
from torch import Tensor

from solvers.errors import DTypeError
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import Solver

__all__ = ["require_arguments"]


def require_arguments(A: Any, b: Any, solver: Any = None, preconditioner: Any = None) -> None:
    """Raise `DTypeError` unless A is an operator, b a tensor, and the two others are None or instances of theirs.

    Examples
    --------
    >>> import torch
    >>> require_arguments(torch.eye(2), torch.ones(2))
    Traceback (most recent call last):
    solvers.errors.DTypeError: A is a Tensor: expected a LinearOperator, such as CSROperator.from_dense(A)
    """
    if not isinstance(A, LinearOperator):
        raise DTypeError(f"A is {_found(A)}: expected a LinearOperator, such as {_operator_from(A)}")
    if not isinstance(b, Tensor):
        raise DTypeError(f"b is {_found(b)}: expected a tensor, such as torch.as_tensor(b)")
    if not (solver is None or isinstance(solver, Solver)):
        raise DTypeError(f"solver is {_found(solver)}: expected a solver, such as {_made(solver, Solver, 'CG()')}")
    if preconditioner is None:
        return
    if isinstance(preconditioner, type) or not hasattr(preconditioner, "setup"):
        recipe = _made(preconditioner, object, "Jacobi()")
        raise DTypeError(
            f"preconditioner is {_found(preconditioner)}: expected a recipe with setup(A), such as {recipe}"
        )


def _operator_from(A: Any) -> str:
    if scipy.sparse.issparse(A):
        return "CSROperator.from_scipy(A)"
    if isinstance(A, Tensor):
        return "CSROperator.from_dense(A)" if str(A.layout) == "torch.strided" else "CSROperator.from_torch(A)"
    return "CSROperator.from_dense(torch.as_tensor(A))"


def _made(given: Any, kind: type, example: str) -> str:
    """An instance of the class that was given, if it is one of that kind."""
    if not isinstance(given, type):
        return example
    return f"{given.__name__}()" if issubclass(given, kind) and hasattr(given, "setup") else example


def _found(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the string {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
