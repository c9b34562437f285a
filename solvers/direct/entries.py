"""The stored entries of an operator, for factorisations that need them."""

from __future__ import annotations

from solvers.errors import TagError
from solvers.nullspace import DeflatedOperator
from solvers.operators.composed import AdjointOperator
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import adjoint

__all__ = ["csr_of"]


def csr_of(A: LinearOperator, solver: str) -> CSROperator:
    """A as a `CSROperator`.

    Of a deflated operator P A P it is A, whose factor is right on the complement of the kernel.

    Raises
    ------
    TagError
        A is matrix-free; the message names `solver`.
    """
    if isinstance(A, CSROperator):
        return A
    if isinstance(A, DeflatedOperator):
        return csr_of(A.operator, solver)
    if isinstance(A, AdjointOperator):
        return adjoint(csr_of(A.operator, solver))
    convert = getattr(A, "to_csr", None)
    if convert is None:
        raise TagError(
            f"{A!r} has no stored entries, as {solver} needs: use a CSROperator, or DenseLU for a small operator, or "
            "a Krylov method"
        )
    stored: CSROperator = convert()
    return stored
