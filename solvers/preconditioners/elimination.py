"""Incomplete elimination on the pattern of A, all entries at once: the fixed-point sweeps of Chow & Patel (2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.errors import Breakdown
from solvers.operators.csr import CSROperator, CSRPattern
from solvers.preconditioners.entries import first_true, stored_diagonal

__all__ = ["Elimination", "Factors", "eliminate"]

_SHIFTS = (1e-3, 1e-2, 1e-1, 0.3, 1.0)
_CANDIDATES = 2**23


@dataclass(frozen=True)
class Factors:
    """A ≈ (I + lower) diag(pivots) (I + upper) with strictly triangular `lower`, `upper` ``(*batch)`` on A's pattern.

    `found` are the pivots as the last sweep left them, `pivots` those it used, ``(*batch, n)``.
    """

    lower: CSROperator
    pivots: Tensor
    upper: CSROperator
    found: Tensor


class Elimination:
    """Which products l_ik u_kj, k < min(i, j), each stored entry (i, j) collects; found once for a pattern.

    There are as many as multiplications in an elimination without fill-in: that is the memory this takes.
    """

    def __init__(self, pattern: CSRPattern, diagonal: Tensor) -> None:
        self.pattern, self.diagonal = pattern, diagonal
        self.below = (pattern.column < pattern.row).nonzero().squeeze(-1)
        self.above = (pattern.column > pattern.row).nonzero().squeeze(-1)
        target, self.left, right = self._products()
        self.sums = CSRPattern(_starts(target, pattern.col.numel()), right, (pattern.col.numel(),) * 2)

    def factors(self, values: Tensor, sweeps: int) -> Factors:
        """Factors of the matrices with these values ``(*batch, nnz)``, from the triangles of A as a first guess.

        Exact after as many sweeps as the elimination has steps that wait for each other. Symmetric (Hermitian) values
        keep upper = lowerᴴ in every sweep. A pivot that changes sign keeps its old value: the next sweep may mend it.
        """
        column = self.pattern.column[self.below]
        pivots = found = first = values[..., self.diagonal]
        state = values.clone()
        state[..., self.below] /= pivots[..., column]
        for _ in range(sweeps):
            products = CSROperator.from_pattern(self.sums, state[..., self.left])
            state = values - products.mv(state)
            found = state[..., self.diagonal]
            pivots = torch.where((found / first).real > 0, found, pivots)
            state[..., self.below] /= pivots[..., column]
            state[..., self.diagonal] = pivots
        upper = state[..., self.above] / pivots[..., self.pattern.row[self.above]]
        return Factors(
            CSROperator.from_pattern(self._lower, state[..., self.below]),
            pivots,
            CSROperator.from_pattern(self._upper, upper),
            found,
        )

    def _products(self) -> tuple[Tensor, Tensor, Tensor]:
        """Places of (i, j), (i, k) and (k, j), sorted by the first and then by the last."""
        pattern, n = self.pattern, self.pattern.shape[0]
        keys = pattern.row * n + pattern.column
        counts = pattern.crow[1:].long() - self.diagonal - 1
        parts = []
        for left in self.below.split(max(1, _CANDIDATES // max(1, int(counts.max()) if n else 0))):
            k = pattern.column[left]
            many = counts[k]
            left, k = left.repeat_interleave(many), k.repeat_interleave(many)
            offset = torch.arange(k.numel(), device=k.device) - (many.cumsum(0) - many).repeat_interleave(many)
            right = self.diagonal[k] + 1 + offset
            key = pattern.row[left] * n + pattern.column[right]
            place = torch.searchsorted(keys, key).clamp_(max=keys.numel() - 1)
            stored = keys[place] == key
            parts.append((place[stored], left[stored], right[stored]))
        target, left, right = (torch.cat(part) for part in zip(*parts, strict=True))
        order = torch.argsort(target, stable=True)
        return target[order], left[order], right[order]

    @cached_property
    def _lower(self) -> CSRPattern:
        return self._triangle(self.below)

    @cached_property
    def _upper(self) -> CSRPattern:
        return self._triangle(self.above)

    def _triangle(self, place: Tensor) -> CSRPattern:
        pattern = self.pattern
        return CSRPattern(_starts(pattern.row[place], pattern.shape[0]), pattern.col[place], pattern.shape)


def eliminate(A: CSROperator, sweeps: int, is_pivot: Callable[[Tensor, Tensor], Tensor], recipe: str) -> Factors:
    """Factors of every system; where a pivot fails, of A + s diag A with the least s = 0.001, …, 1 that helps.

    Shifting is Manteuffel's (1980). With s = 1 most matrices are diagonally dominant, where the sweeps converge; the
    factors are then little better than those of SSOR.

    Parameters
    ----------
    is_pivot
        (pivots found, diagonal of A) ↦ which pivots will do.

    Raises
    ------
    Breakdown
        The pivots of a system fail even with the largest shift.
    """
    elimination = Elimination(A.pattern, stored_diagonal(A))
    diagonal = A.values[..., elimination.diagonal]
    shift = torch.zeros_like(diagonal[..., :1].real)
    for larger in (*_SHIFTS, None):
        values = A.values.clone()
        values[..., elimination.diagonal] += shift * diagonal
        factors = elimination.factors(values, sweeps)
        failed = ~is_pivot(factors.found, diagonal).all(-1, keepdim=True)
        if not bool(failed.any()):
            break
        if larger is None:
            system = first_true(failed)
            raise Breakdown(
                f"system {system} of {failed.numel()}: {recipe} finds no usable pivots, even for "
                "A + diag A; is the matrix what its tags say? Use SSOR, Chebyshev or a direct solver",
                batch_indices=(system,),
            )
        shift = torch.where(failed, larger, shift)
    return factors


def _starts(row: Tensor, count: int) -> Tensor:
    counts = torch.bincount(row, minlength=count)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
