"""Incomplete Cholesky and LU factors without fill-in, computed and applied by sweeps over all entries at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.elimination import eliminate
from solvers.preconditioners.entries import entries, nonzero_diagonal
from solvers.preconditioners.products import Products
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["IncompleteCholesky", "IncompleteInverse", "IncompleteLU"]


@dataclass(frozen=True)
class IncompleteCholesky:
    """A ≈ (I + L) D (I + L)ᴴ on the pattern of A, for symmetric (Hermitian) positive definite matrices.

    The factor comes from fixed-point sweeps (Chow & Patel 2015), its inverse is applied by Jacobi sweeps (Anzt, Chow &
    Dongarra 2015), (I + L)⁻¹ ≈ Σ (−L)ᵏ: a fixed linear map whose adjoint is applied next, so that M is positive
    definite however few the sweeps. Everything is batched products. Only the lower triangle of A is used.

    Parameters
    ----------
    sweeps
        Of the factor; five are near the exact factor of diagonally dominant matrices.
    solves
        Jacobi sweeps for each triangle; M costs 2 · `solves` products with half of the entries. Strongly anisotropic
        problems want more.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((32, 32)), torch.ones(1024, dtype=torch.float64)
    >>> plain, factored = (linear_solve(A, b, CG(), M).stats.iterations for M in (None, IncompleteCholesky()))
    >>> bool(factored < 0.5 * plain)
    True
    """

    sweeps: int = 5
    solves: int = 5

    def __post_init__(self) -> None:
        _check_counts(self.sweeps, self.solves)

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> IncompleteInverse:
        """Factorise every system; a negative pivot is met with a shift, A + s diag A, s ≤ 1.

        Raises
        ------
        TagError
            The operator does not know its entries.
        PatternError
            A diagonal entry is zero.
        Breakdown
            A system has negative pivots whatever the shift.
        """
        csr = entries(A, "IncompleteCholesky")
        nonzero_diagonal(csr, "IncompleteCholesky")
        factors = eliminate(csr, self.sweeps, _is_positive, "IncompleteCholesky")
        lower = Products(factors.lower)
        over_pivots = (1 / factors.pivots.real).to(csr.dtype)
        return IncompleteInverse(A, lower, over_pivots, lower.H, self.solves, is_spd=True)


@dataclass(frozen=True)
class IncompleteLU:
    """A ≈ (I + L) D (I + U) on the pattern of A, for matrices that need not be symmetric.

    Computed and applied as `IncompleteCholesky`.

    Parameters
    ----------
    sweeps, solves
        As in `IncompleteCholesky`.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0], [4.0, 3.0]]))  # no fill-in: the factors are exact
    >>> IncompleteLU().setup(A)(torch.tensor([3.0, 7.0]))
    tensor([1., 1.])
    """

    sweeps: int = 5
    solves: int = 5

    def __post_init__(self) -> None:
        _check_counts(self.sweeps, self.solves)

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> IncompleteInverse:
        """Factorise every system; a pivot near zero is met with a shift, A + s diag A, s ≤ 1.

        Raises
        ------
        TagError, PatternError, Breakdown
            As in `IncompleteCholesky.setup`.
        """
        csr = entries(A, "IncompleteLU")
        nonzero_diagonal(csr, "IncompleteLU")
        factors = eliminate(csr, self.sweeps, _is_moderate, "IncompleteLU")
        lower, upper = Products(factors.lower), Products(factors.upper)
        return IncompleteInverse(A, lower, 1 / factors.pivots, upper, self.solves, is_spd=False)


class IncompleteInverse(ProjectedInverse):
    """M = Σ (−U)ᵏ D⁻¹ Σ (−L)ᵏ, k ≤ `solves`."""

    def __init__(
        self, A: LinearOperator, lower: Products, over_pivots: Tensor, upper: Products, solves: int, is_spd: bool
    ) -> None:
        super().__init__(A)
        self.lower, self.over_pivots, self.upper, self.solves = lower, over_pivots, upper, solves
        self.is_spd = is_spd

    @property
    def H(self) -> IncompleteInverse:
        if self.is_spd:
            return self
        return IncompleteInverse(
            self.operator.H, self.upper.H, self.over_pivots.conj(), self.lower.H, self.solves, is_spd=False
        )

    def apply(self, r: Tensor) -> Tensor:
        return self._triangle(self.upper, self.over_pivots * self._triangle(self.lower, r))

    def _triangle(self, strict: Products, r: Tensor) -> Tensor:
        """Sweeps y ← r − N y for (I + N) y = r."""
        y = r
        for _ in range(self.solves):
            y = r - strict(y)
        return y


def _check_counts(sweeps: int, solves: int) -> None:
    for name, count in (("sweeps", sweeps), ("solves", solves)):
        if count < 0:
            raise ValueError(f"{name} = {count}: the number of sweeps cannot be negative")


def _is_positive(pivots: Tensor, diagonal: Tensor) -> Tensor:
    return (pivots.real > 0) & _is_moderate(pivots, diagonal)


def _is_moderate(pivots: Tensor, diagonal: Tensor) -> Tensor:
    """Neither near zero nor far beyond the diagonal, as sweeps that diverge leave them."""
    growth = (pivots / diagonal).abs()
    small = torch.finfo(pivots.dtype).eps ** 0.5
    return (growth > small) & (growth < 1 / small)
