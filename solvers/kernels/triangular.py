"""Incomplete factors (E + L) E⁻¹ (E + U) of sparse matrices A = L + D + U: pivots E and both substitutions."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Triangles", "Wavefront", "found_pivots", "substituted"]


class Wavefront(NamedTuple):
    """Rows that wait for no other of them, and their entries below and above the diagonal.

    `lower_row` and `upper_row` say to which of `rows` each of the entries `lower` and `upper` belongs.
    """

    rows: Tensor
    lower: Tensor
    lower_row: Tensor
    upper: Tensor
    upper_row: Tensor


class Triangles:
    """The triangles of a sparsity pattern that is its own transpose.

    Parameters
    ----------
    crow, col
        Rows ``(n + 1)`` and columns ``(nnz)``, int32, sorted in every row.
    diagonal
        Places of the diagonal entries, int64 ``(n)``.
    """

    def __init__(self, crow: Tensor, col: Tensor, diagonal: Tensor) -> None:
        self.crow, self.col, self.diagonal = crow, col, diagonal

    @cached_property
    def wavefronts(self) -> list[Wavefront]:
        """All rows, front by front: a row's neighbours before it are in earlier fronts, those behind it in later."""
        n, column = self.diagonal.numel(), self.col.long()
        row = torch.repeat_interleave(torch.arange(n, device=column.device), self.crow.diff())
        below = (column < row).nonzero().squeeze(-1)
        level = torch.zeros(n, dtype=torch.long, device=column.device)
        while True:  # longest paths: as many passes as there are fronts
            later = level.scatter_reduce(0, row[below], level[column[below]] + 1, "amax")
            if torch.equal(later, level):
                break
            level = later
        above = (column > row).nonzero().squeeze(-1)
        order = torch.argsort(level, stable=True)
        place = torch.empty_like(order)
        sizes = torch.bincount(level).tolist()
        starts = torch.tensor(sizes, device=column.device).cumsum(0) - torch.tensor(sizes, device=column.device)
        place[order] = torch.arange(n, device=column.device) - starts[level[order]]
        parts = [entries[torch.argsort(level[row[entries]], stable=True)] for entries in (below, above)]
        counts = [torch.bincount(level[row[part]], minlength=len(sizes)).tolist() for part in parts]
        pieces = zip(order.split(sizes), parts[0].split(counts[0]), parts[1].split(counts[1]), strict=True)
        return [Wavefront(rows, low, place[row[low]], up, place[row[up]]) for rows, low, up in pieces]


def found_pivots(triangles: Triangles, values: Tensor, relaxation: float, smallest: float) -> Tensor:
    """E of each matrix ``values (k, nnz)``, ``(k, n)``.

    eᵢ = aᵢᵢ − Σ_(k<i) aᵢₖ ((1 − τ) aᵢₖ + τ Σ_(j>k) aₖⱼ) / eₖ with τ = `relaxation`; a pivot below `smallest` · aᵢᵢ is
    replaced by aᵢᵢ.
    """
    diagonal, column = values[:, triangles.diagonal], triangles.col.long()
    pivots, sums = diagonal.clone(), torch.zeros_like(diagonal)
    for front in triangles.wavefronts:
        rows, a, k = front.rows, values[:, front.lower], column[front.lower]
        terms = a * ((1 - relaxation) * a + relaxation * sums[:, k]) / pivots[:, k]
        own = diagonal[:, rows]
        found = own.index_add(1, front.lower_row, terms, alpha=-1)
        pivots[:, rows] = torch.where(found < smallest * own, own, found)
        sums[:, rows] = torch.zeros_like(own).index_add_(1, front.upper_row, values[:, front.upper])
    return pivots


def substituted(triangles: Triangles, values: Tensor, over_pivots: Tensor, r: Tensor) -> Tensor:
    """(E + U)⁻¹ E (E + L)⁻¹ r for matrices ``values (k, nnz)`` and 1 / E, repeated along vectors ``(batch, n)``."""
    repeats = r.shape[0] // max(values.shape[0], 1)
    values, over_pivots, column = values.repeat(repeats, 1), over_pivots.repeat(repeats, 1), triangles.col.long()
    y = r.clone()
    for front in triangles.wavefronts:
        terms = values[:, front.lower] * y[:, column[front.lower]]
        y[:, front.rows] = y[:, front.rows].index_add(1, front.lower_row, terms, alpha=-1) * over_pivots[:, front.rows]
    for front in reversed(triangles.wavefronts):
        terms = values[:, front.upper] * y[:, column[front.upper]]
        missing = torch.zeros_like(y[:, front.rows]).index_add_(1, front.upper_row, terms)
        y[:, front.rows] -= missing * over_pivots[:, front.rows]
    return y
