"""Sparse LU factors on the CPU, by SuperLU."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from solvers.direct.direct_solver import DirectSolver, Factor, is_numerically_singular, kernel_shift, spectral_bound
from solvers.direct.entries import csr_of
from solvers.errors import DeviceError
from solvers.operators.csr import CSROperator
from solvers.operators.linear_operator import LinearOperator
from solvers.status import Status

if TYPE_CHECKING:
    import scipy.sparse.linalg

__all__ = ["SuperLU", "SuperLUFactor"]

_LARGE, _ENTRIES_OF_3D = 40**3, 6


@dataclass(frozen=True)
class SuperLU(DirectSolver):
    """Sparse LU with partial pivoting (Li 2005) through SciPy, on the CPU; a solver and a preconditioner.

    A batch is a loop over its systems, and every right-hand side of a system is solved at once; adjoint solves and
    later solves with the same `Solution.state` use the same factor.

    Parameters
    ----------
    rtol, refinements
        As in `DirectSolver`.
    ordering
        SuperLU's column ordering. None: minimum degree on A + Aᵀ with pivots preferred on the diagonal
        (``"MMD_AT_PLUS_A"``, half the fill) for a symmetric pattern, else ``"COLAMD"``.

    Raises
    ------
    TagError
        The operator is not square, or has no stored entries (``to_csr()``).
    DeviceError
        The operator is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0], [0.0, 4.0]]))
    >>> first = linear_solve(A, torch.tensor([4.0, 4.0]), SuperLU())
    >>> first.value
    tensor([1.5000, 1.0000])
    >>> linear_solve(A, torch.tensor([2.0, 0.0]), state=first.state).value  # no second factorisation
    tensor([1., 0.])
    """

    ordering: str | None = None

    def factor(self, A: LinearOperator) -> SuperLUFactor:
        if A.device.type != "cpu":
            raise DeviceError(f"{A!r} is on {A.device}: SuperLU runs on the CPU; use CuDSS, or move A with .to('cpu')")
        matrix = csr_of(A, "SuperLU")
        n, entries = matrix.shape[0], matrix.pattern.col.numel()
        if n > _LARGE and entries > _ENTRIES_OF_3D * n:
            warnings.warn(
                f"SuperLU: {n} unknowns with {entries / n:.1f} entries a row look like a three-dimensional grid, whose "
                "factor fills up: use CG with SmoothedAggregation (algebraic multigrid) or GeometricMultigrid",
                UserWarning,
                stacklevel=4,
            )
        absolute = matrix.replace((matrix.values.abs(),))
        ones = torch.ones(*matrix.batch_shape, n, dtype=absolute.dtype)
        size = spectral_bound(absolute.mv(ones), absolute.rmv(ones))
        status = torch.where(matrix.is_finite(), Status.CONVERGED, Status.NONFINITE_INPUT).to(torch.int8)
        systems, options = _columns(matrix), _options(matrix, self.ordering)
        finite = (status == Status.CONVERGED).reshape(-1).tolist()
        factors = [_factor(csc, options) if fine else None for csc, fine in zip(systems, finite, strict=True)]
        attempt = SuperLUFactor(factors, status, size, False)
        singular = is_numerically_singular(attempt, absolute.mv, ones.to(A.dtype)) & (status == Status.CONVERGED)
        for i in singular.reshape(-1).nonzero().reshape(-1).tolist():
            shift = kernel_shift(size).reshape(-1)[i].item() * scipy.sparse.eye_array(n, dtype=systems[i].dtype)
            factors[i] = _factor(scipy.sparse.csc_array(systems[i] + shift), options)
        status[singular] = Status.SINGULAR
        return SuperLUFactor(factors, status, size, "spd" in A.tags)


class SuperLUFactor(Factor):
    """The factors of a batch of matrices; `H` solves with the same ones."""

    def __init__(
        self,
        factors: list[scipy.sparse.linalg.SuperLU | None],
        status: Tensor,
        size: Tensor,
        is_spd: bool,
        adjoint: bool = False,
    ) -> None:
        super().__init__(status, size, is_spd and not bool(status.any()))
        self.factors, self.adjoint = factors, adjoint

    @property
    def H(self) -> SuperLUFactor:
        return SuperLUFactor(self.factors, self.status, self.size, self.is_spd, not self.adjoint)

    @torch.no_grad()
    def __call__(self, r: Tensor) -> Tensor:
        own, n = self.status.shape, r.shape[-1]
        batch = torch.broadcast_shapes(own, r.shape[:-1])
        vectors = r.detach().resolve_conj().expand(*batch, n).reshape(batch.numel(), n).numpy()
        z = np.full_like(vectors, np.nan)
        owner = torch.arange(len(self.factors)).reshape(own).expand(batch).reshape(-1).numpy()
        order = np.argsort(owner, kind="stable")
        ends = np.bincount(owner, minlength=len(self.factors)).cumsum()[:-1]
        mode = "H" if self.adjoint else "N"
        for factor, mine in zip(self.factors, np.split(order, ends), strict=False):
            if factor is not None:
                solve: Any = factor.solve  # its stubs know real matrices only
                z[mine] = solve(vectors[mine].T, mode).T
        return torch.from_numpy(z).reshape(*batch, n)


def _columns(matrix: CSROperator) -> list[scipy.sparse.csc_array]:
    """Every system by columns, as SuperLU wants it, on shared indices."""
    transposed, order = matrix.pattern.transposed
    indices, ends = transposed.col.numpy(), transposed.crow.numpy()
    values = matrix.values.detach().resolve_conj()[..., order].reshape(matrix.batch_shape.numel(), order.numel())
    return [scipy.sparse.csc_array((own, indices, ends), shape=matrix.shape) for own in values.numpy()]


def _factor(csc: scipy.sparse.csc_array, options: dict[str, Any]) -> scipy.sparse.linalg.SuperLU | None:
    """None if a pivot is exactly zero."""
    import scipy.sparse.linalg

    try:
        return scipy.sparse.linalg.splu(csc, **options)
    except RuntimeError:
        return None


def _options(matrix: CSROperator, ordering: str | None) -> dict[str, Any]:
    columns, _ = matrix.pattern.transposed
    symmetric = torch.equal(columns.crow, matrix.pattern.crow) and torch.equal(columns.col, matrix.pattern.col)
    if not symmetric or ordering not in (None, "MMD_AT_PLUS_A"):
        return {"permc_spec": ordering or "COLAMD"}
    # A pivot on the diagonal is taken unless another of its column is ten times larger.
    return {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.1, "options": {"SymmetricMode": True}}
