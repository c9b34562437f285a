"""Dense factors of a batch of small matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.direct.direct_solver import DirectSolver, Factor, is_numerically_singular, kernel_shift, spectral_bound
from solvers.errors import ShapeError
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import require_tag
from solvers.status import Status

__all__ = ["DenseCholesky", "DenseLU"]

_LIMIT = 4096


@dataclass(frozen=True)
class DenseCholesky(DirectSolver):
    """A = L Lᴴ of any Hermitian positive definite operator with at most 4096 unknowns, the whole batch at once.

    A matrix that has no such factor ends with `Status.SINGULAR` or, if it is not semidefinite, `Status.INDEFINITE`.

    Parameters
    ----------
    rtol, refinements
        As in `DirectSolver`.

    Raises
    ------
    TagError
        The operator lacks the tag "spd".
    ShapeError
        It has more than 4096 unknowns.

    Examples
    --------
    >>> import torch
    >>> from solvers import linear_solve, poisson_operator
    >>> linear_solve(poisson_operator((3,), "vertex"), torch.ones(3, dtype=torch.float64), DenseCholesky()).value
    tensor([1.5000, 2.0000, 1.5000], dtype=torch.float64)
    """

    def require(self, A: LinearOperator) -> None:
        super().require(A)
        require_tag(A, "spd", "DenseCholesky", "use DenseLU")

    def factor(self, A: LinearOperator) -> CholeskyFactor:
        dense, size, finite = _dense(A)
        L, info = torch.linalg.cholesky_ex(dense)
        status = torch.where(info == 0, Status.CONVERGED, Status.INDEFINITE).to(torch.int8)
        attempt = CholeskyFactor(L, status, size)
        weak = (info != 0) | is_numerically_singular(attempt, _times(dense.abs()), dense.new_zeros(dense.shape[:-1]))
        if bool(weak.any()):
            shifted, info = torch.linalg.cholesky_ex(_shifted(dense, size, weak))
            status = torch.where(weak, torch.where(info == 0, Status.SINGULAR, Status.INDEFINITE), status)
            L = torch.where((info == 0)[..., None, None], shifted, torch.nan)
        status = torch.where(finite, status, Status.NONFINITE_INPUT).to(torch.int8)
        return CholeskyFactor(L, status, size)


@dataclass(frozen=True)
class DenseLU(DirectSolver):
    """P A = L U of any square operator with at most 4096 unknowns, the whole batch at once.

    Parameters
    ----------
    rtol, refinements
        As in `DirectSolver`.

    Raises
    ------
    ShapeError
        The operator has more than 4096 unknowns.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    >>> linear_solve(A, torch.tensor([2.0, 3.0]), DenseLU()).value
    tensor([3., 1.])
    """

    def factor(self, A: LinearOperator) -> LUFactor:
        dense, size, finite = _dense(A)
        LU, pivots, info = torch.linalg.lu_factor_ex(dense)
        fine = torch.zeros_like(info, dtype=torch.int8)
        weak = is_numerically_singular(
            LUFactor(LU, pivots, fine, size), _times(dense.abs()), dense.new_zeros(dense.shape[:-1])
        )
        weak = weak | (info != 0)
        if bool(weak.any()):
            LU, pivots, _ = torch.linalg.lu_factor_ex(_shifted(dense, size, weak))
        status = torch.where(weak, Status.SINGULAR, Status.CONVERGED)
        status = torch.where(finite, status, Status.NONFINITE_INPUT).to(torch.int8)
        return LUFactor(LU, pivots, status, size)


class CholeskyFactor(Factor):
    """L of every system; A⁻¹ is its own adjoint."""

    def __init__(self, L: Tensor, status: Tensor, size: Tensor) -> None:
        super().__init__(status, size, is_spd=True)
        self.L = L

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        columns, restore = _as_columns(r, self.status.shape)
        return restore(torch.cholesky_solve(columns, self.L))


class LUFactor(Factor):
    """L, U and the row exchanges of every system; `H` solves with the same ones."""

    def __init__(self, LU: Tensor, pivots: Tensor, status: Tensor, size: Tensor, adjoint: bool = False) -> None:
        super().__init__(status, size, is_spd=False)
        self.LU, self.pivots, self.adjoint = LU, pivots, adjoint

    @property
    def H(self) -> LUFactor:
        return LUFactor(self.LU, self.pivots, self.status, self.size, not self.adjoint)

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        columns, restore = _as_columns(r, self.status.shape)
        return restore(torch.linalg.lu_solve(self.LU, self.pivots, columns, adjoint=self.adjoint))


def _dense(A: LinearOperator) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices, the identity in place of those that are not finite; bounds of their norms; which are finite."""
    n = A.shape[0]
    if n > _LIMIT:
        raise ShapeError(
            f"{A!r}: a dense factor of {n} unknowns is too large (limit {_LIMIT}); use SuperLU, or CG with a "
            "preconditioner"
        )
    dense = A.to_dense()
    finite = dense.isfinite().flatten(-2).all(-1)
    identity = torch.eye(n, dtype=dense.dtype, device=dense.device)
    dense = torch.where(finite[..., None, None], dense, identity)
    return dense, spectral_bound(dense.abs().sum(-1), dense.abs().sum(-2)), finite


def _shifted(dense: Tensor, size: Tensor, where: Tensor) -> Tensor:
    identity = torch.eye(dense.shape[-1], dtype=dense.dtype, device=dense.device)
    return dense + torch.where(where, kernel_shift(size), 0)[..., None, None] * identity


def _times(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: (matrix @ x.unsqueeze(-1)).squeeze(-1)


def _as_columns(r: Tensor, own: torch.Size) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Vectors ``(*more, *own, n)`` as columns ``(*own, n, k)``, so that a factor is not copied; and the way back."""
    r = r.expand(torch.broadcast_shapes(r.shape, (*own, r.shape[-1])))
    more = r.shape[: r.ndim - 1 - len(own)]
    columns = r.reshape(more.numel(), *r.shape[len(more) :]).movedim(0, -1)
    return columns, lambda z: z.movedim(-1, 0).reshape(*more, *z.shape[:-1])
