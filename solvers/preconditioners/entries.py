"""What a preconditioner may ask of an operator: its diagonal, or all of its entries."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from solvers.errors import PatternError, ShapeError, TagError
from solvers.operators.composed import AdjointOperator
from solvers.operators.csr import CSROperator
from solvers.operators.diffusion import DiffusionOperator
from solvers.operators.linear_operator import LinearOperator

__all__ = ["adjoint", "entries", "first_true", "nonzero_diagonal", "require_square", "stored_diagonal"]


@runtime_checkable
class _HasEntries(Protocol):
    def to_csr(self) -> CSROperator: ...


def entries(A: LinearOperator, recipe: str) -> CSROperator:
    """`A` with stored entries, detached; systems that are not finite, which no solver starts, become the identity.

    Raises
    ------
    TagError
        The operator cannot say what its entries are.
    ShapeError
        It is not square.
    """
    require_square(A, recipe)
    csr = _stored(A)
    if csr is None:
        raise TagError(
            f"{A!r} does not know its entries, which {recipe} needs: use Jacobi or Chebyshev, which ask for products "
            "and the diagonal only, or build a CSROperator"
        )
    values, pattern = csr.values.detach(), csr.pattern
    finite = A.is_finite().expand(csr.batch_shape)
    identity = pattern.row == pattern.column
    if not bool(finite.all()):
        values = torch.where(finite.unsqueeze(-1), values, identity.to(values.dtype))
    if isinstance(A, DiffusionOperator):
        # Cells without links (obstacles) are in the kernel, from which vectors are kept out: any number does there.
        values = torch.where((values == 0) & identity, 1, values)
    return CSROperator.from_pattern(pattern, values, A.tags)


def adjoint(A: CSROperator) -> CSROperator:
    """Aᴴ with stored entries; a symmetric (Hermitian) matrix is its own."""
    if "symmetric" in A.tags:
        return A
    pattern, order = A.pattern.transposed
    return CSROperator.from_pattern(pattern, A.values[..., order].conj().resolve_conj(), A.tags)


def stored_diagonal(A: CSROperator) -> Tensor:
    """Place of every diagonal entry among the values, ``(n,)``.

    Raises
    ------
    PatternError
        A row has none.
    """
    place = (A.pattern.row == A.pattern.column).nonzero().squeeze(-1)
    if place.numel() != A.shape[0]:
        present = torch.zeros(A.shape[0], dtype=torch.bool, device=A.device)
        present[A.pattern.row[place]] = True
        raise PatternError(f"row {first_true(~present)} stores no diagonal entry: give it one, or use another recipe")
    return place


def nonzero_diagonal(A: LinearOperator, recipe: str) -> Tensor:
    """The diagonal ``(*batch, n)``, detached.

    Raises
    ------
    PatternError
        It has a zero.
    ShapeError
        A is not square.
    """
    require_square(A, recipe)
    diagonal = A.diagonal().detach()
    if isinstance(A, DiffusionOperator):
        diagonal = torch.where(diagonal == 0, 1, diagonal)  # obstacles, as in `entries`
    if bool((diagonal == 0).any()):
        place = first_true(diagonal == 0)
        system, row = divmod(place, A.shape[0])
        raise PatternError(
            f"system {system} of {A.batch_shape.numel()}: row {row} has a zero on the diagonal, by which {recipe} "
            "divides; reorder the rows, or use no preconditioner"
        )
    return diagonal


def require_square(A: LinearOperator, recipe: str) -> None:
    """Raise `ShapeError` unless A is square."""
    if A.shape[0] != A.shape[1]:
        raise ShapeError(f"{A!r} is not square: {recipe} approximates an inverse; least squares go without it")


def first_true(condition: Tensor) -> int:
    """Flat index of the first true element."""
    return int(condition.reshape(-1).nonzero()[0])


def _stored(A: LinearOperator) -> CSROperator | None:
    if isinstance(A, CSROperator):
        return A
    if isinstance(A, AdjointOperator):
        inner = _stored(A.operator)
        return None if inner is None else adjoint(inner)
    return A.to_csr() if isinstance(A, _HasEntries) else None
