"""What PyAMG finds out for us: interpolation and restriction between algebraic levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
import torch

from solvers.errors import PatternError
from solvers.multigrid.galerkin import GalerkinMap
from solvers.operators.csr import CSROperator, CSRPattern
from solvers.operators.linear_operator import LinearOperator

__all__ = ["Transfers", "fixed_seed", "read_levels", "representative"]


class Transfers:
    """Restriction and interpolation between successive levels, for every matrix on one pattern.

    Parameters
    ----------
    pattern
        Of the finest matrix.
    pairs
        (R, P) of every level that has a coarser one, finest first.
    """

    def __init__(self, pattern: CSRPattern, pairs: Sequence[tuple[CSROperator, CSROperator]]) -> None:
        self.pattern, self.pairs = pattern, tuple(pairs)

    @cached_property
    def maps(self) -> list[GalerkinMap]:
        """values of a level's matrix ↦ values of the next, level by level."""
        maps: list[GalerkinMap] = []
        pattern = self.pattern
        for R, P in self.pairs:
            maps.append(GalerkinMap(pattern, R, P))
            pattern = maps[-1].pattern
        return maps

    def matrices(self, A: CSROperator) -> list[CSROperator]:
        """A, R A P, … for a batch of matrices on the pattern.

        Raises
        ------
        PatternError
            A's entries are elsewhere.
        """
        if A.pattern is not self.pattern and not _equal(A.pattern, self.pattern):
            raise PatternError(
                f"{A!r} stores other entries than the matrix the hierarchy was set up for: set it up anew"
            )
        matrices = [A]
        for galerkin in self.maps:
            matrices.append(CSROperator.from_pattern(galerkin.pattern, galerkin(matrices[-1].values), A.tags))
        return matrices


def representative(A: LinearOperator, csr: CSROperator) -> scipy.sparse.csr_matrix | None:
    """One matrix for all systems, in double precision: the mean of the finite ones, scaled to largest entry one.

    None, if no system is finite.
    """
    finite = A.is_finite().expand(csr.batch_shape).reshape(-1)
    rows = csr.values.reshape(finite.numel(), csr.values.shape[-1])[finite]
    if not rows.numel():
        return None
    if csr.batch_shape:
        rows = rows / rows.abs().amax(-1, keepdim=True)
    double = rows.mean(0).to("cpu", torch.complex128 if rows.is_complex() else torch.float64)
    parts = (double, csr.pattern.col.cpu(), csr.pattern.crow.cpu())
    return scipy.sparse.csr_matrix(tuple(part.numpy() for part in parts), shape=csr.shape)


def read_levels(levels: Sequence[Any], A: CSROperator) -> tuple[Transfers, list[CSROperator]]:
    """PyAMG's levels as torch matrices of A's dtype and device: the transfers, and the coarse matrices.

    A coarse unknown that interpolates to nothing (more near-kernel vectors than a group has unknowns) is left out.
    """

    def torch_matrix(matrix: Any, tags: frozenset[str] = frozenset()) -> CSROperator:
        matrix = scipy.sparse.csr_matrix(matrix)
        matrix.eliminate_zeros()
        return CSROperator.from_scipy(matrix, tags, A.device, A.dtype)

    pairs, coarse = [], []
    kept: Any = slice(None)
    for fine, next_level in pairwise(levels):
        P, R = scipy.sparse.csr_matrix(fine.P)[kept], scipy.sparse.csr_matrix(fine.R)[:, kept]
        kept = abs(P).sum(0).A1 > 0
        pairs.append((torch_matrix(R[kept]), torch_matrix(P[:, kept])))
        coarse.append(torch_matrix(scipy.sparse.csr_matrix(next_level.A)[kept][:, kept], A.tags))
    return Transfers(A.pattern, pairs), coarse


@contextmanager
def fixed_seed() -> Iterator[None]:
    """PyAMG draws start vectors from NumPy's global generator: the same ones every time, and the caller's untouched."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _equal(a: CSRPattern, b: CSRPattern) -> bool:
    return a.shape == b.shape and torch.equal(a.crow, b.crow) and torch.equal(a.col, b.col)
