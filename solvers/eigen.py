"""A few eigenvalues and eigenvectors of Hermitian operators, batched and differentiable."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.eigen_derivatives import eigenpairs_differentiably
from solvers.errors import ShapeError, TagError
from solvers.inverse import Inverse, Preconditioner
from solvers.operators.linear_operator import LinearOperator
from solvers.operators.product_rule import is_differentiated
from solvers.solver import require_tag
from solvers.status import Status

__all__ = ["EigenSolution", "lobpcg"]

_DENSE = 64
_NOISE = 100
#: Vectors carried along besides those asked for: they speed up the last pairs and show how far the next ones are.
_GUARD = 2


@dataclass(frozen=True)
class EigenSolution:
    """Eigenpairs A v = λ B v, each with its own status.

    Attributes
    ----------
    values
        ``(*batch, k)``, real, in the order asked for; differentiable.
    vectors
        ``(*batch, n, k)``, vᴴ B v = 1; differentiable where the eigenvalue is simple.
    status
        `Status` of every pair, ``(*batch, k)`` int8.
    iterations
        Steps after which each pair had converged, ``(*batch, k)``; 0 where the matrix was treated as dense.
    residual
        ‖A v − λ B v‖₂ / ‖B v‖₂, ``(*batch, k)``.
    """

    values: Tensor
    vectors: Tensor
    status: Tensor
    iterations: Tensor
    residual: Tensor

    @property
    def converged(self) -> Tensor:
        """True for the pairs found to the tolerance, ``(*batch, k)`` bool."""
        return self.status == Status.CONVERGED


def lobpcg(
    A: LinearOperator,
    k: int,
    B: LinearOperator | None = None,
    preconditioner: Preconditioner | None = None,
    x0: Tensor | None = None,
    *,
    largest: bool = False,
    rtol: float | None = None,
    max_iterations: int = 500,
    generator: torch.Generator | None = None,
) -> EigenSolution:
    """The k smallest (or largest) eigenvalues of A v = λ B v and their vectors (Knyazev 2001).

    Every step is a Rayleigh–Ritz projection on the span of the vectors X, the preconditioned residuals and the last
    directions, made orthonormal by QR (and Cholesky in B's inner product), which no dependence among them disturbs.
    Systems with at most 64 unknowns, or three times the vectors carried, are treated as dense.

    Parameters
    ----------
    A
        Operator with the tag "symmetric" (Hermitian if complex).
    k
        Number of pairs.
    B
        Operator with the tag "spd"; the identity by default.
    preconditioner
        A recipe for an inverse of A, Hermitian positive definite.
    x0
        Starting vectors ``(n, j)`` or ``(*batch, n, j)``, j ≥ 1; the missing ones are random.
    largest
        The k largest eigenvalues, in descending order, instead of the smallest in ascending order.
    rtol
        A pair has converged when ‖A v − λ B v‖ ≤ rtol |λ| ‖B v‖, or when rounding allows no smaller residual. The error
        of λ is then of the order of rtol². None: 1e-8 in double, 1e-4 in single precision.
    max_iterations
        Pairs still running after this many steps end with `Status.MAX_ITERATIONS`, and a warning.
    generator
        Of the random starting vectors, which all systems of the batch share; None: a fixed seed.

    Raises
    ------
    ShapeError, TagError
        The arguments do not fit.
    Singular
        When a derivative of an eigenvector is asked for whose eigenvalue is not simple: |λᵢ − λⱼ| < 1e-6 |λᵢ|.

    Notes
    -----
    dλ = ⟨v, (A' − λ B') v⟩; (A − λ B) dv = −(A' − λ B' − dλ B) v with ⟨B v, dv⟩ = −½ ⟨v, B' v⟩, solved by MINRES: any
    number of times differentiable. The derivatives of single eigenvalues of a cluster mean little, their sum is right.
    A complex eigenvector is differentiated with dv orthogonal to v; functions of it must not depend on its phase.

    Examples
    --------
    >>> import torch
    >>> from solvers import GeometricMultigrid, poisson_operator
    >>> A = poisson_operator((31, 31), "vertex")
    >>> found = lobpcg(A, 3, preconditioner=GeometricMultigrid())
    >>> (4 - 4 * torch.cos(torch.tensor(torch.pi / 32)) - found.values[0]).abs() < 1e-6
    tensor(True)
    """
    _check(A, k, B, x0)
    eps = torch.finfo(A.dtype).eps
    rtol = rtol if rtol is not None else (1e-8 if eps < 1e-10 else 1e-4)
    m = min(k + max(_GUARD, k // 4), A.shape[0])
    with torch.no_grad():
        clean, mass = _cleaned(A), None if B is None else _cleaned(B)
        finite = A.is_finite() if B is None else A.is_finite() & B.is_finite()
        inverse = None if preconditioner is None else preconditioner.setup(clean)
        search = _Search(clean, mass, inverse, largest, rtol, k)
        if A.shape[0] <= max(_DENSE, 3 * m):
            search.decompose(m)
        else:
            search.iterate(_start(clean, finite.shape, m, x0, generator), max_iterations)
        status, iterations = search.status, search.iterations
        status[search.indefinite] = Status.INDEFINITE
        status[~finite] = Status.NONFINITE_INPUT
        usable = finite & ~search.indefinite
        values = torch.where(usable[..., None], search.values, torch.nan)
        vectors = torch.where(usable[..., None, None], _oriented(search.X), torch.nan)
    if bool((status == Status.MAX_ITERATIONS).any()):
        warnings.warn(
            f"lobpcg: {int((status == Status.MAX_ITERATIONS).sum())} of {status.numel()} eigenpairs have not converged "
            f"after {max_iterations} iterations: give a preconditioner, loosen rtol, or raise max_iterations",
            RuntimeWarning,
            stacklevel=2,
        )
    residual = search.residual[..., :k]
    if not is_differentiated(*A.parameters(), *(() if B is None else B.parameters())):
        return EigenSolution(values[..., :k], vectors[..., :k], status, iterations, residual)
    found = eigenpairs_differentiably(A, B, values, vectors[..., :k], inverse, max(rtol, 50 * eps))
    return EigenSolution(*found, status, iterations, residual)


class _Search:
    """Ritz pairs of one batched run; `values` ``(*batch, m)``, `X` ``(*batch, n, m)`` with Xᴴ B X = I."""

    def __init__(
        self,
        A: LinearOperator,
        B: LinearOperator | None,
        inverse: Inverse | None,
        largest: bool,
        rtol: float,
        k: int,
    ) -> None:
        self.A, self.B, self.inverse, self.largest, self.rtol, self.k = A, B, inverse, largest, rtol, k
        shape = A.batch_shape if B is None else torch.broadcast_shapes(A.batch_shape, B.batch_shape)
        self.indefinite = torch.zeros(shape, dtype=torch.bool, device=A.device)
        # The Ritz pairs, A X and B X, and the residuals, which `project` fills.
        self.values = self.residual = self.X = self.AX = self.BX = torch.empty(0)

    def decompose(self, m: int) -> None:
        """All pairs of the dense matrices, of which m are kept."""
        n = self.A.shape[0]
        identity = torch.eye(n, dtype=self.A.dtype, device=self.A.device).expand(*self.indefinite.shape, n, n)
        self.project(self.orthonormal(identity), m)
        self.status = torch.zeros_like(self.values[..., : self.k], dtype=torch.int8)
        self.iterations = torch.zeros_like(self.status, dtype=torch.int32)

    def iterate(self, X: Tensor, max_iterations: int) -> None:
        m = X.shape[-1]
        directions = X[..., :0]
        self.project(self.orthonormal(X), m)
        self.status = torch.full_like(self.values[..., : self.k], Status.MAX_ITERATIONS, dtype=torch.int8)
        self.iterations = torch.zeros_like(self.status, dtype=torch.int32)
        for step in range(max_iterations + 1):
            close = self.residual <= torch.maximum(self.rtol * self.values.abs(), self.floor)
            self.status[close[..., : self.k]] = Status.CONVERGED
            running = ~close[..., : self.k].all(-1, keepdim=True)
            if step == max_iterations or not running.any():
                return
            self.iterations += (self.status != Status.CONVERGED).to(torch.int32)
            W = self.AX - self.BX * self.values.unsqueeze(-2)
            if self.inverse is not None:
                W = self.inverse(W.movedim(-1, 0)).movedim(0, -1)
            size = torch.linalg.vector_norm(W, dim=-2, keepdim=True)
            W = W / torch.where(size > 0, size, 1)
            before = self.values, self.residual, self.X, self.AX, self.BX
            directions = self.project(self.orthonormal(torch.cat([self.X, W, directions], -1)), m)
            self.keep(before, ~running)

    def keep(self, before: tuple[Tensor, ...], where: Tensor) -> None:
        """Take back the step of the systems that had ended."""
        after = self.values, self.residual, self.X, self.AX, self.BX
        self.values, self.residual = (torch.where(where, *pair) for pair in zip(before[:2], after[:2], strict=True))
        where = where.unsqueeze(-1)
        self.X, self.AX, self.BX = (torch.where(where, *pair) for pair in zip(before[2:], after[2:], strict=True))

    def orthonormal(self, S: Tensor) -> Tensor:
        """Q with Qᴴ B Q = I, whose leading columns span those of S; where S has dependent columns, Q has new ones."""
        Q, _ = torch.linalg.qr(S)
        if self.B is None:
            return Q
        G = Q.mH @ self.B.mm(Q)
        L, info = torch.linalg.cholesky_ex(0.5 * (G + G.mH))
        self.indefinite = self.indefinite | (info != 0)
        L = torch.where((info != 0)[..., None, None], torch.eye(G.shape[-1], dtype=G.dtype, device=G.device), L)
        return torch.linalg.solve_triangular(L.mH, Q, upper=True, left=False)

    def project(self, Q: Tensor, m: int) -> Tensor:
        """The m Ritz pairs in the span of the B-orthonormal Q; the part of the new X outside of Q's first m columns."""
        AQ = self.A.mm(Q)
        BQ = Q if self.B is None else self.B.mm(Q)
        T = Q.mH @ AQ
        ritz, C = torch.linalg.eigh(0.5 * (T + T.mH))
        if self.largest:
            ritz, C = ritz.flip(-1), C.flip(-1)
        self.values, C = ritz[..., :m], C[..., :m]
        self.X, self.AX, self.BX = Q @ C, AQ @ C, BQ @ C
        self.floor = _NOISE * torch.finfo(Q.dtype).eps * ritz.abs().amax(-1, keepdim=True)
        lengths = torch.linalg.vector_norm(self.BX, dim=-2)
        residual = torch.linalg.vector_norm(self.AX - self.BX * self.values.unsqueeze(-2), dim=-2)
        self.residual = residual / lengths
        return Q[..., m:] @ C[..., m:, :]


def _start(
    A: LinearOperator, batch: torch.Size, m: int, x0: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    n = A.shape[0]
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    X = torch.randn(n, m, generator=generator, dtype=torch.float64, device=generator.device)
    X = X.to(A.device, A.dtype).expand(*batch, n, m)
    if x0 is None:
        return X
    x0 = x0.detach()[..., :m].expand(*batch, n, -1)
    return torch.cat([x0, X[..., x0.shape[-1] :]], -1)


def _oriented(X: Tensor) -> Tensor:
    """Vectors of a definite sign (phase): a fixed random vector makes no angle above 90° (0°) with them."""
    n = X.shape[-2]
    pole = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(X.device, X.dtype)
    along = pole @ X
    return X * torch.where(along == 0, 1, along.conj() / along.abs()).unsqueeze(-2)


def _cleaned(A: LinearOperator) -> LinearOperator:
    """A with finite numbers only: systems with NaN are not sought, but must not stop the others."""
    return A.replace(tuple(torch.nan_to_num(p.detach(), 0, 0, 0) for p in A.parameters()))


def _check(A: LinearOperator, k: int, B: LinearOperator | None, x0: Tensor | None) -> None:
    n = A.shape[1]
    require_tag(A, "symmetric", "lobpcg", "symmetrise A")
    if A.is_distributed or (B is not None and B.is_distributed):
        raise TagError(f"{A!r} is distributed: lobpcg needs the operator in one place")
    if not 1 <= k <= n:
        raise ShapeError(f"k = {k}: {A!r} has {n} eigenvalues; expected 1 ≤ k ≤ {n}")
    if B is not None:
        require_tag(B, "spd", "lobpcg (for B)", "leave B out")
        if B.shape != A.shape or B.dtype != A.dtype:
            raise ShapeError(f"B = {B!r}: expected the shape and dtype of A = {A!r}")
    if x0 is not None and (x0.ndim < 2 or x0.shape[-2] != n or x0.shape[-1] < 1):
        raise ShapeError(f"x0 {tuple(x0.shape)}: expected ({n}, j) or (*batch, {n}, j) with j ≥ 1 starting vectors")
