"""The stored entries of an operator, for factorisations that need them."""

from __future__ import annotations

from solvers.errors import TagError
from solvers.nullspace import DeflatedOperator
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import AdjointOperator, LinearOperator

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
        inner = csr_of(A.operator, solver)
        pattern, order = inner.pattern.transposed
        return CSROperator.from_pattern(pattern, inner.values[..., order].conj(), A.tags)
    convert = getattr(A, "to_csr", None)
    if convert is None:
        raise TagError(
            f"{A!r} has no stored entries, as {solver} needs: use a CSROperator, or DenseLU for a small operator, or "
            "a Krylov method"
        )
    stored: CSROperator = convert()
    return stored
