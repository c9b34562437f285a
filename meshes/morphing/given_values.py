"""Sparse systems with the values of some unknowns given: eliminated, solved, put together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from solvers import CSROperator, Preconditioner, Solver, linear_solve

__all__ = ["solve_given"]


def solve_given(
    triplets: tuple[Tensor, Tensor, Tensor],
    fixed: Tensor,
    given: Tensor,
    n: int,
    solver: Solver,
    preconditioner: Preconditioner | None = None,
    tags: Iterable[str] = (),
) -> Tensor:
    """Solve A u = 0 in the rows of the free unknowns, u being given elsewhere.

    Parameters
    ----------
    triplets
        Rows ``(z,)``, columns ``(z,)`` and values ``(*batch, z)`` of A; those of one place are added.
    fixed, given
        Unknowns ``(m,)`` and their values ``(*batch, m, c)``, a system for each column.
    n
        Number of all unknowns.
    solver, preconditioner
        As for `solvers.linear_solve`.
    tags
        What is known of the free part of A.

    Returns
    -------
    Tensor
        ``(*batch, n, c)``, differentiable in the values of A and in those given.

    Examples
    --------
    >>> from solvers import SuperLU
    >>> row, column = torch.tensor([1, 1, 1]), torch.tensor([0, 1, 2])
    >>> mean_of_neighbours = row, column, torch.tensor([-1.0, 2.0, -1.0])
    >>> solve_given(mean_of_neighbours, torch.tensor([0, 2]), torch.tensor([[1.0], [5.0]]), 3, SuperLU()).tolist()
    [[1.0], [3.0], [5.0]]
    """
    row, column, values = triplets
    given = given.expand(*values.shape[:-1], *given.shape[-2:])
    is_fixed = torch.zeros(n, dtype=torch.bool)
    is_fixed[fixed] = True
    free = (~is_fixed).nonzero().reshape(-1)
    known = given.new_zeros(*given.shape[:-2], n, given.shape[-1]).index_copy(-2, fixed, given)
    if not len(free):
        return known
    number = torch.cumsum(~is_fixed, 0) - 1
    within, across = ~is_fixed[row] & ~is_fixed[column], ~is_fixed[row] & is_fixed[column]
    shape = (len(free), len(free))
    A = CSROperator.from_coo(number[row[within]], number[column[within]], values[..., within], shape, tags)
    flux = -values[..., across, None] * known[..., column[across], :]
    b = flux.new_zeros(*flux.shape[:-2], len(free), flux.shape[-1]).index_add(-2, number[row[across]], flux)
    # One vector a column, whatever the sizes: an array of shape (2, 2) would be ambiguous.
    u = linear_solve(A, b.movedim(-1, 0), solver, preconditioner).value.movedim(0, -1)
    return known.index_copy(-2, free, u)
