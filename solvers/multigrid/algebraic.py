"""Algebraic multigrid: coarse levels that PyAMG finds from the entries of A, cycles in torch on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.errors import DTypeError, ShapeError
from solvers.multigrid.algebraic_hierarchy import AlgebraicHierarchy
from solvers.multigrid.transfers import Transfers, fixed_seed, read_levels, representative
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.chebyshev import Chebyshev
from solvers.preconditioners.entries import entries
from solvers.preconditioners.ssor import SSOR

__all__ = ["RugeStuben", "SmoothedAggregation"]

_SMOOTHER = Chebyshev(2, lower=0.25)


@dataclass(frozen=True, eq=False)
class SmoothedAggregation:
    """Smoothed aggregation (Vaněk, Mandel & Brezina 1996): a coarse unknown stands for a group of fine ones.

    PyAMG finds groups and interpolation, on the CPU. The systems of a batch share them, found from the mean of their
    scaled matrices; coarse matrices and smoothers are each system's own.

    Parameters
    ----------
    near_nullspace
        Vectors ``(n,)`` or ``(n, k)`` that A nearly annihilates, such as the rigid body motions for elasticity. None:
        the constants.
    block_size
        Unknowns a point, numbered together (3 for displacements in space): points are grouped, not single unknowns.
    strength
        Unknowns are grouped along entries with |a_ij|² ≥ strength² |a_ii a_jj|.
    smoother
        What runs before and after a coarse correction: `Chebyshev` or `SSOR`, which converge for every positive
        definite A, as a positive definite cycle needs. ``Chebyshev(1, 0.5, 1.0)`` is damped Jacobi, ω = 4/3 / λ.
    coarsest
        Levels of at most this size are solved densely.
    levels
        Largest number of levels.
    dtype
        Precision of the cycle; None: the operator's. ``torch.float32`` inside a float64 CG costs no iterations.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((50, 50)).to_csr(), torch.ones(2500, dtype=torch.float64)
    >>> linear_solve(A, b, CG(), SmoothedAggregation()).stats.iterations < 15
    tensor(True)
    """

    near_nullspace: Tensor | None = None
    block_size: int = 1
    strength: float = 0.0
    smoother: Chebyshev | SSOR = _SMOOTHER
    coarsest: int = 100
    levels: int = 10
    dtype: torch.dtype | None = None

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> AlgebraicHierarchy:
        """Find the levels, and every system's matrices and smoothers on them.

        Raises
        ------
        TagError
            The operator does not know its entries.
        PatternError
            A diagonal entry is zero, on any level.
        ShapeError
            `near_nullspace` or `block_size` does not fit A.
        """
        csr = entries(A, "SmoothedAggregation")
        candidates = self._candidates(csr)
        if csr.shape[0] % self.block_size:
            raise ShapeError(f"block_size = {self.block_size} does not divide the {csr.shape[0]} unknowns")
        matrix: Any = representative(A, csr)
        if matrix is None or csr.shape[0] <= self.coarsest:
            return _hierarchy(A, csr, [], self)
        from pyamg import smoothed_aggregation_solver

        with fixed_seed():
            found = smoothed_aggregation_solver(
                matrix if self.block_size == 1 else matrix.tobsr((self.block_size, self.block_size)),
                B=candidates,
                symmetry="hermitian" if "symmetric" in A.tags else "nonsymmetric",
                strength=("symmetric", {"theta": self.strength}),
                max_levels=self.levels,
                max_coarse=self.coarsest,
            )
        return _hierarchy(A, csr, found.levels, self)

    def _candidates(self, A: CSROperator) -> Any:
        """The near null space as PyAMG wants it."""
        if self.near_nullspace is None:
            return None
        n, given = A.shape[0], self.near_nullspace.detach()
        columns = given[:, None] if given.ndim == 1 else given
        if columns.ndim != 2 or columns.shape[0] != n or not columns.shape[1]:
            raise ShapeError(f"near_nullspace {tuple(given.shape)}: expected ({n},) or ({n}, k), one vector a column")
        return columns.to("cpu", torch.complex128 if A.dtype.is_complex else torch.float64).numpy()


@dataclass(frozen=True)
class RugeStuben:
    """Classical algebraic multigrid (Ruge & Stüben 1987): coarse unknowns are a subset of the fine ones.

    For real matrices like M-matrices, one unknown a point. Fewer iterations than `SmoothedAggregation`, larger coarse
    levels. Batches as there.

    Parameters
    ----------
    strength
        An entry is strong if it is at least `strength` times its row's largest.
    smoother, coarsest, levels, dtype
        As in `SmoothedAggregation`.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((50, 50)).to_csr(), torch.ones(2500, dtype=torch.float64)
    >>> linear_solve(A, b, CG(), RugeStuben()).stats.iterations < 10
    tensor(True)
    """

    strength: float = 0.25
    smoother: Chebyshev | SSOR = _SMOOTHER
    coarsest: int = 100
    levels: int = 10
    dtype: torch.dtype | None = None

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> AlgebraicHierarchy:
        """Find the levels, and every system's matrices and smoothers on them.

        Raises
        ------
        TagError, PatternError
            As in `SmoothedAggregation.setup`.
        DTypeError
            A is complex.
        """
        csr = entries(A, "RugeStuben")
        if csr.dtype.is_complex:
            raise DTypeError(f"{A!r}: classical interpolation is real; use SmoothedAggregation")
        matrix = representative(A, csr)
        if matrix is None or csr.shape[0] <= self.coarsest:
            return _hierarchy(A, csr, [], self)
        from pyamg import ruge_stuben_solver

        with fixed_seed():
            found = ruge_stuben_solver(
                matrix,
                strength=("classical", {"theta": self.strength}),
                max_levels=self.levels,
                max_coarse=self.coarsest,
            )
        return _hierarchy(A, csr, found.levels, self)


def _hierarchy(
    A: LinearOperator, csr: CSROperator, levels: list[Any], recipe: SmoothedAggregation | RugeStuben
) -> AlgebraicHierarchy:
    """PyAMG's own coarse matrices serve a single system; those of a batch are computed from each one's values."""
    transfers, coarse = read_levels(levels, csr) if levels else (Transfers(csr.pattern, ()), [])
    matrices = transfers.matrices(csr) if csr.batch_shape else [csr, *coarse]
    return AlgebraicHierarchy(A, matrices, transfers, recipe.smoother, recipe.dtype)
