"""GMRES with restarts: any square matrix, the smallest residual over the Krylov space, memory that grows with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.status import Status

__all__ = ["GMRES", "GeneralizedMinimalResiduals", "combination"]

#: What is this many times rounding, relative to what it was computed from, counts as zero.
_NOISE = 100


class GeneralizedMinimalResiduals(Iteration):
    """Saad & Schultz (1986), preconditioned from the right, so that r is the residual of A x = b itself.

    The basis V ``(restart + 1, *batch, n)`` is orthonormal with A M V = V H; Gram-Schmidt is done twice, in products
    of whole bases.
    """

    solver: GMRES

    def descend(self, r: Tensor) -> None:
        moving, size = self.status == RUNNING, self.A.norm(r)
        self.largest = torch.zeros_like(size)  # ‖A M v‖ so far: what the entries of H are small against
        while moving.any():
            x, before = self.x, size
            moving, doubtful = self.cycle(r, size, moving)
            if not (moving | doubtful).any():
                return
            r, size = self.true_residual()
            # A singular matrix leaves a residual that no cycle reduces; x would only grow along its kernel.
            stuck = doubtful & (size > 1.01 * self.goal) & (size > 0.99 * before)
            self.end(stuck, Status.SINGULAR)
            self.x = torch.where(stuck & (size > before), x, self.x)
            moving = moving & ~stuck

    def cycle(self, r: Tensor, size: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
        """At most `restart` steps of the systems `moving` from the residual r of this size.

        Returns the systems that need another cycle, and those whose A M seems singular on this space.
        """
        length, residual = min(self.solver.restart, self.A.global_shape[1]), size
        V = r.new_empty(length + 1, *r.shape)
        V[0] = torch.where(moving, r / size, 0)
        small = _HessenbergSystem(size, length, r.dtype)
        eps = torch.finfo(r.dtype).eps
        noise = _NOISE * eps
        going, doubtful = moving, torch.zeros_like(moving)
        for j in range(length):
            w, h = self.orthogonalised(self.apply(self.direction(V, j)), V[: j + 1].movedim(0, -2))
            height = self.A.norm(w)
            product_size = torch.hypot(torch.linalg.vector_norm(h, dim=-1, keepdim=True), height)
            self.largest = torch.where(going, torch.maximum(self.largest, product_size), self.largest)
            if j == 0:  # to √eps, because a residual does not show a part of that relative size
                in_kernel = moving & (product_size <= eps**0.5 * self.largest)
            pivot = small.append(j, h, height)
            doubtful = doubtful | (going & (pivot <= noise * self.largest))
            small.rotate(j, height, pivot, going & ~doubtful)
            residual = torch.where(going & ~doubtful, small.residual(j), residual)
            # A product in the span of the basis ends the space: with the solution in it, unless H is singular.
            going = self.stepped(going, residual) & ~doubtful & (height > noise * product_size)
            V[j + 1] = torch.where(going, w / height, 0)
            if self.is_over(j + 1, going):
                break
        y = small.solution(j + 1)
        self.x = self.x + self.combine(V[: j + 1], y)
        doubtful = doubtful | in_kernel | (moving & (small.amplification(y) * noise * self.largest >= 1))
        return moving & (residual > self.goal) & (self.iterations < self.max_iterations), doubtful

    def direction(self, V: Tensor, j: int) -> Tensor:
        """M v of the last basis vector."""
        return self.precondition(V[j])

    def combine(self, V: Tensor, y: Tensor) -> Tensor:
        """The correction M V y."""
        return self.precondition(combination(V.movedim(0, -2), y))

    def orthogonalised(self, w: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
        """w − V h ⟂ V for a basis ``(*batch, k, n)``, and h ``(*batch, k)``."""
        h = self.A.inner_basis(basis, w)
        w = w - combination(basis, h)
        rest = self.A.inner_basis(basis, w)
        return w - combination(basis, rest), h + rest


class _HessenbergSystem:
    """min ‖β e₁ − H y‖, one column at a time.

    The rotations that make H triangular are kept multiplied out: Q H = R, so that a new column costs one product.
    Then β Q e₁ is the right-hand side of R y, and its next entry the residual's norm.
    """

    def __init__(self, beta: Tensor, size: int, dtype: torch.dtype) -> None:
        eye = torch.eye(size + 1, dtype=dtype, device=beta.device)
        self.beta = beta
        self.Q = eye.repeat(*beta.shape[:-1], 1, 1)
        self.R = eye[:size, :size].repeat(*beta.shape[:-1], 1, 1)
        self.rhs = self.Q.new_zeros(*beta.shape[:-1], size)

    def append(self, j: int, h: Tensor, height: Tensor) -> Tensor:
        """Apply the earlier rotations to the column h ``(*batch, j + 1)``; the size of the pivot it will have."""
        self.column = (self.Q[..., : j + 1, : j + 1] @ h.unsqueeze(-1)).squeeze(-1)
        return (self.column[..., j:].abs().square() + height.square()).sqrt()

    def rotate(self, j: int, height: Tensor, pivot: Tensor, turning: Tensor) -> None:
        """Eliminate the entry `height` below the diagonal.

        Systems at rest keep a unit column and a zero on the right, hence a zero in y.
        """
        cos = torch.where(turning, self.column[..., j:].conj() / pivot, 1)
        sin = torch.where(turning, height / pivot, 0)
        upper, lower = self.Q[..., j, :], self.Q[..., j + 1, :]
        upper, lower = cos * upper + sin * lower, cos.conj() * lower - sin * upper
        self.Q[..., j, :], self.Q[..., j + 1, :] = upper, lower
        self.column[..., j:] = pivot
        self.R[..., : j + 1, j] = torch.where(turning, self.column, self.R[..., : j + 1, j])
        self.rhs[..., j : j + 1] = torch.where(turning, self.beta * self.Q[..., j, :1], 0)

    def residual(self, j: int) -> Tensor:
        """The norm that is left after column j."""
        return self.beta * self.Q[..., j + 1, :1].abs()

    def solution(self, size: int) -> Tensor:
        """Y of the first `size` columns."""
        rhs = self.rhs[..., :size, None]
        return torch.linalg.solve_triangular(self.R[..., :size, :size], rhs, upper=True).squeeze(-1)

    def amplification(self, y: Tensor) -> Tensor:
        """‖y‖ / ‖rhs‖, at most 1 / the smallest singular value of R."""
        y_norm, rhs_norm = (torch.linalg.vector_norm(v, dim=-1, keepdim=True) for v in (y, self.rhs))
        return torch.where(rhs_norm > 0, y_norm / rhs_norm, 0)


def combination(basis: Tensor, y: Tensor) -> Tensor:
    """Σ yᵢ vᵢ of a basis ``(*batch, k, n)``."""
    return (y.unsqueeze(-2) @ basis).squeeze(-2)


@dataclass(frozen=True)
class GMRES(KrylovSolver):
    """Generalised minimal residuals (Saad & Schultz 1986) for any square matrix, restarted.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`; inner steps are counted.
    restart
        Steps before the basis, `restart` + 1 vectors, is thrown away; with `restart` ≥ n the solve is exact in n steps.

    Raises
    ------
    ValueError
        `restart` is less than 1.

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[2.0, 1.0], [-1.0, 3.0]], dtype=torch.float64))
    >>> linear_solve(A, torch.tensor([3.0, 2.0], dtype=torch.float64), GMRES()).value.round(decimals=8)
    tensor([1., 1.], dtype=torch.float64)
    """

    restart: int = 30

    iteration: ClassVar[type[Iteration]] = GeneralizedMinimalResiduals

    def __post_init__(self) -> None:
        if self.restart < 1:
            raise ValueError(f"restart = {self.restart}: {type(self).__name__} takes at least 1 step a cycle")
