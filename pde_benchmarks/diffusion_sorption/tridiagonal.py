"""Tridiagonal systems by cyclic reduction: many at once, without a loop over rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Tridiagonal"]


class _Level(NamedTuple):
    """One halving: what odd rows take from their neighbours, and the even rows divided by their pivots."""

    rows: int
    before: Tensor
    after: Tensor
    lower: Tensor
    pivot: Tensor
    upper: Tensor


class Tridiagonal:
    """The factors of a_i x_{i−1} + b_i x_i + c_i x_{i+1} = r_i, row by row diagonally dominant (Hockney 1965).

    Cyclic reduction without pivoting: even unknowns are eliminated, again and again, in log₂ n steps that work on all
    systems and rows at once.

    Parameters
    ----------
    lower, diagonal, upper
        a, b, c of shape ``(…, n)``; a_0 and c_{n−1} are not read.

    Examples
    --------
    >>> one = torch.ones(5, dtype=torch.float64)
    >>> Tridiagonal(-one, 2 * one, -one).solve(one)
    tensor([2.5000, 4.0000, 4.5000, 4.0000, 2.5000], dtype=torch.float64)
    """

    def __init__(self, lower: Tensor, diagonal: Tensor, upper: Tensor) -> None:
        a, b, c = torch.broadcast_tensors(lower, diagonal, upper)
        # The first and last entry would couple to rows that do not exist.
        a, c = pad(a[..., 1:], (1, 0)), pad(c[..., :-1], (0, 1))
        self._levels = []
        while (rows := b.shape[-1]) > 1:
            if rows % 2 == 0:
                a, b, c = pad(a, (0, 1)), pad(b, (0, 1), value=1.0), pad(c, (0, 1))
            pivot = 1 / b[..., 0::2]
            lower, upper = a[..., 0::2] * pivot, c[..., 0::2] * pivot
            a, b, c = a[..., 1::2], b[..., 1::2], c[..., 1::2]
            self._levels.append(_Level(rows, a * pivot[..., :-1], c * pivot[..., 1:], lower, pivot, upper))
            b = b - a * upper[..., :-1] - c * lower[..., 1:]
            a, c = -a * lower[..., :-1], -c * upper[..., 1:]
        self._last = 1 / b

    def solve(self, r: Tensor) -> Tensor:
        """x for right-hand sides whose shape broadcasts with ``(…, n)``; linear and differentiable in r."""
        evens = []
        for level in self._levels:
            r = pad(r, (0, 1)) if level.rows % 2 == 0 else r
            even = r[..., 0::2]
            evens.append(even)
            r = r[..., 1::2] - level.before * even[..., :-1] - level.after * even[..., 1:]
        x = r * self._last
        for level, even in zip(reversed(self._levels), reversed(evens), strict=True):
            framed = pad(x, (1, 1))
            x = level.pivot * even - level.lower * framed[..., :-1] - level.upper * framed[..., 1:]
            x = torch.stack([x, framed[..., 1:]], -1).flatten(-2)[..., : level.rows]
        return x
