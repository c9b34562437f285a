"""MINRES: Hermitian matrices, also indefinite and singular ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solvers.inverse import Inverse
from solvers.krylov.iteration import RUNNING, Iteration, KrylovSolver
from solvers.operators.linear_operator import LinearOperator
from solvers.solver import require_tag
from solvers.status import Status

__all__ = ["MINRES"]

#: What is this many times rounding, relative to what it was computed from, counts as zero.
_NOISE = 100


class MinimalResiduals(Iteration):
    """Paige & Saunders (1975) with a preconditioner: the residual that is smallest in the norm of M.

    Rotations (c, s) make the tridiagonal matrix of `_Lanczos` triangular, with γ on the diagonal and δ, ε above it.
    The directions w = (M v − δ w⁻ − ε w⁼) / γ are kept without their factor 1/γ.

    A residual with ‖A r‖ ≤ √eps ‖A‖ ‖r‖ is (almost) in the kernel of A: the recurrence knows no more, and beyond it x
    would grow along the kernel. Such a system begins again; if its true residual does not fall then, A is singular.
    """

    suspect: Tensor | None = None

    def descend(self, r: Tensor) -> None:
        if self.suspect is None:
            self.suspect = self.iterate(r, torch.finfo(r.dtype).eps ** 0.5)
            return
        suspect = self.suspect & (self.status == RUNNING)
        x, before = self.x.clone(), self.A.norm(r)
        self.iterate(r, 0.0)
        _, after = self.true_residual()
        stuck = suspect & (after > 1.01 * self.goal) & (after > 0.99 * before)
        self.end(stuck, Status.SINGULAR)
        self.x = torch.where(stuck, x, self.x)

    def iterate(self, r: Tensor, threshold: float) -> Tensor:
        """Descend; the systems that stopped because ‖A r‖ ≤ threshold ‖A‖ ‖r‖."""
        lanczos = _Lanczos(self, r)
        moving, eta = lanczos.moving, lanczos.beta
        w, w_old = torch.zeros_like(r), torch.zeros_like(r)
        c = c_old = torch.ones_like(eta)
        s = s_old = per_gamma = per_gamma_old = largest = torch.zeros_like(eta)
        in_kernel = torch.zeros_like(moving)
        for step in range(1, self.max_iterations + 1):
            below, z = lanczos.below, lanczos.z
            alpha, beta = lanczos.expand(moving)
            gamma_bar = c * alpha - c_old * s * below
            gamma, delta, epsilon = torch.hypot(gamma_bar, beta), s * alpha + c_old * c * below, s_old * below
            largest = torch.maximum(largest, gamma)
            # √(γ̄² + (c β)²) is ‖A r‖ / ‖r‖ of the residual before this step.
            in_kernel = in_kernel | (moving & (torch.hypot(gamma_bar, c * beta) <= threshold * largest))
            moving = moving & ~in_kernel & gamma.isfinite()
            c_old, s_old = c, s
            c, s = torch.where(moving, gamma_bar / gamma, c), torch.where(moving, beta / gamma, s)
            w_new = torch.addcmul(z, delta * per_gamma, w, value=-1)
            w, w_old = w_new.addcmul_(epsilon * per_gamma_old, w_old, value=-1), w
            per_gamma, per_gamma_old = torch.where(moving, 1 / gamma, 0), per_gamma
            self.x.addcmul_(c * eta * per_gamma, w)
            lanczos.advance(moving)
            residual = self.reduced(r, lanczos.v, eta, c, s, moving)
            eta = torch.where(moving, -s * eta, eta)
            moving = self.stepped(moving, residual)
            if self.is_over(step, moving):
                break
        lanczos.diagnose()
        return in_kernel

    def reduced(self, r: Tensor, v: Tensor, eta: Tensor, c: Tensor, s: Tensor, moving: Tensor) -> Tensor:
        """‖r‖₂ after a step: |s η| without a preconditioner; else r itself is updated, because η measures ‖r‖ in M."""
        if self.inverse is None:
            return torch.where(moving, s * eta.abs(), eta.abs())
        r.mul_(torch.where(moving, s.square(), 1))
        r.addcmul_(torch.where(moving, c * s * eta, 0), v, value=-1)
        return self.measure(r)


class _Lanczos:
    """Vectors v with ⟨vᵢ, M vⱼ⟩ = δᵢⱼ and A M v = β⁺ v⁺ + α v + β v⁻; systems at rest go on with zeros."""

    def __init__(self, run: Iteration, r: Tensor) -> None:
        self.run = run
        self.noise = _NOISE * torch.finfo(r.dtype).eps
        z = run.precondition(r)
        self.square = run.A.inner(r, z).real  # ⟨v, M v⟩ before v is normalised
        self.diagnose()
        run.end(self.square == 0, Status.PRECONDITIONER_INDEFINITE)
        self.moving = run.status == RUNNING
        self.beta = torch.where(self.moving, self.square, 0).sqrt()
        self.v, self.following = torch.zeros_like(r), (r, z)
        self.advance(self.moving)
        self.below = torch.zeros_like(self.beta)  # ‖r‖ is no entry of the tridiagonal matrix

    def expand(self, moving: Tensor) -> tuple[Tensor, Tensor]:
        """α and β⁺ of the current vector; the next one waits for `advance`."""
        A = self.run.A
        Az = self.run.apply(self.z)
        alpha = A.inner(self.z, Az).real
        v = torch.addcmul(Az, alpha, self.v, value=-1).addcmul_(self.below, self.v_old, value=-1)
        self.following = v, self.run.precondition(v)
        square = A.inner(*self.following).real
        is_noise = square.abs() <= self.noise**2 * (alpha.square() + self.below.square())
        square = torch.where(is_noise, 0, square)
        # The scalar of a system that stops is kept: it tells, after the loop, why it stopped.
        self.square = torch.where(moving, square, self.square)
        self.beta = torch.where(moving, square, 0).sqrt()
        return alpha, self.beta

    def advance(self, moving: Tensor) -> None:
        """Normalise the next vector and go to it."""
        v, z = self.following
        scale = torch.where(moving & (self.beta > 0), 1 / self.beta, 0)
        self.below, self.v_old, self.v = self.beta, self.v, scale * v
        self.z = self.v if z is v else scale * z

    def diagnose(self) -> None:
        """End the systems whose ⟨v, M v⟩ is not what a positive definite M gives."""
        self.run.end(~self.square.isfinite(), Status.NONFINITE_ITERATE)
        self.run.end(self.square < 0, Status.PRECONDITIONER_INDEFINITE)


@dataclass(frozen=True)
class MINRES(KrylovSolver):
    """Minimal residuals (Paige & Saunders 1975) for Hermitian matrices, also indefinite ones.

    Of a singular system whose right-hand side is in the range it finds a solution, the shortest one from x₀ = 0 and
    without a preconditioner; otherwise the system ends with `Status.SINGULAR` and a least-squares solution.

    Parameters
    ----------
    rtol, max_iterations, atol, check_every, record_history
        As in `KrylovSolver`.
    assume_symmetric
        Accept operators that do not carry the tag "symmetric".

    Examples
    --------
    >>> import torch
    >>> from solvers import CSROperator, linear_solve
    >>> A = CSROperator.from_dense(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64), tags={"symmetric"})
    >>> linear_solve(A, torch.tensor([3.0, 3.0], dtype=torch.float64), MINRES()).value.round(decimals=8)
    tensor([1., 1.], dtype=torch.float64)
    """

    assume_symmetric: bool = False

    iteration: ClassVar[type[Iteration]] = MinimalResiduals
    needs_spd_inverse: ClassVar[bool] = True

    def check(self, A: LinearOperator, inverse: Inverse | None) -> None:
        super().check(A, inverse)
        if not self.assume_symmetric:
            require_tag(A, "symmetric", "MINRES", "use MINRES(assume_symmetric=True), or GMRES")
