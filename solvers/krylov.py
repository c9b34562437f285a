"""Krylov subspace iterations, batched: every system has its own step lengths, stopping test and status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.status import Status

__all__ = ["CG", "RUNNING", "Apply", "Descent", "Outcome"]

Apply = Callable[[Tensor], Tensor]

#: A compiled `_Run.descend`: (x, r, goal, steps allowed) ↦ (new x, status or RUNNING, steps taken).
Descent = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]

RUNNING = -1
_RESTARTS = 2


@dataclass(frozen=True)
class Outcome:
    """What an iteration returns: `value` ``(*batch, n)``, the rest ``(*batch)``; norms are of the true residual."""

    value: Tensor
    status: Tensor
    iterations: Tensor
    residual_norm: Tensor
    rhs_norm: Tensor
    products: int
    history: Tensor | None


@dataclass(frozen=True)
class CG:
    """Conjugate gradients (Hestenes & Stiefel 1952) for symmetric positive definite systems.

    Parameters
    ----------
    rtol
        A system has converged when its true residual satisfies ‖b − A x‖₂ ≤ max(rtol ‖b‖₂, atol).
        None: 1e-8 in float64, 1e-5 in float32.
    max_iterations
        Systems still running after this many steps end with `Status.MAX_ITERATIONS`.
    atol
        Absolute floor; 0 keeps the solve homogeneous in b (also for cotangents of 1e-30).
    check_every
        Steps between two questions to the device whether all systems are done. None: 1 on the CPU, 10 elsewhere.
    record_history
        Keep the relative residual of every step in ``Stats.history``.
    assume_spd
        Accept operators that do not carry the tag "spd".
    """

    rtol: float | None = None
    max_iterations: int = 1000
    atol: float = 0.0
    check_every: int | None = None
    record_history: bool = False
    assume_spd: bool = False

    def iterate(
        self,
        apply: Apply,
        b: Tensor,
        precondition: Apply | None = None,
        x: Tensor | None = None,
        fused: Descent | None = None,
    ) -> Outcome:
        """Solve ``apply(x) = b`` for every system of the batch, starting from `x` (zero by default).

        `fused` is a compiled replacement of the inner loop for this `apply` and `precondition`.
        Works on b / max|b|, so that the result is homogeneous in b from 1e-30 to 1e+30.
        Systems whose right-hand side or start is not finite are not started.
        """
        finite = b.isfinite().all(-1, keepdim=True)
        if x is not None:
            finite = finite & x.isfinite().all(-1, keepdim=True)
        b = torch.where(finite, b, 0)
        scale = b.abs().amax(-1, keepdim=True)
        scale = torch.where(scale > 0, scale, 1)
        b = b / scale
        x = torch.zeros_like(b) if x is None else torch.where(finite & (b != 0).any(-1, keepdim=True), x / scale, 0)
        run = _Run(self, apply, precondition or (lambda r: r), b, x, self.tolerance(b) * norm(b), self.atol / scale)
        run.status[~finite] = Status.NONFINITE_INPUT
        residual = run.to_the_end(None if self.record_history else fused)
        value = torch.where(run.status == Status.NONFINITE_INPUT, torch.nan, run.x * scale)
        return Outcome(
            value,
            run.status.squeeze(-1),
            run.iterations.squeeze(-1),
            (residual * scale).squeeze(-1),
            (norm(b) * scale).squeeze(-1),
            run.products,
            torch.stack(run.history).squeeze(-1) if self.record_history else None,
        )

    def tolerance(self, b: Tensor) -> float:
        """The relative tolerance used for right-hand sides of b's dtype; raises ValueError if out of its reach."""
        if self.rtol is None:
            return 1e-8 if b.dtype == torch.float64 else 1e-5
        if not 50 * torch.finfo(b.dtype).eps <= self.rtol < 1:
            floor = 50 * torch.finfo(b.dtype).eps
            raise ValueError(
                f"rtol = {self.rtol:g}: {b.dtype} reaches relative residuals in [{floor:.1e}, 1); use float64"
            )
        return self.rtol


class _Run:
    """One batched run of preconditioned CG; scalars are ``(*batch, 1)``, finished systems take steps of length zero."""

    def __init__(
        self, solver: CG, apply: Apply, precondition: Apply, b: Tensor, x: Tensor, relative: Tensor, absolute: Tensor
    ) -> None:
        self.apply, self.precondition, self.b, self.x = apply, precondition, b, x
        self.goal = torch.maximum(relative, absolute)
        self.max_iterations = solver.max_iterations
        self.check_every = solver.check_every or (1 if b.device.type == "cpu" else 10)
        self.rhs_norm = norm(b)
        self.status = torch.full_like(self.goal, RUNNING, dtype=torch.int8)
        self.iterations = torch.zeros_like(self.goal, dtype=torch.int32)
        self.products = 0
        self.record = solver.record_history
        self.history: list[Tensor] = []

    def to_the_end(self, fused: Descent | None) -> Tensor:
        """Iterate until every system has a status that its *true* residual supports; return that residual's norm."""
        for attempt in range(_RESTARTS + 1):
            r, residual = self.true_residual()
            if attempt == 0:
                self.note(residual)
            self.end(residual <= self.goal * (1.01 if attempt else 1.0), Status.CONVERGED)
            self.end(self.iterations >= self.max_iterations, Status.MAX_ITERATIONS)
            if not (self.status == RUNNING).any():
                return residual
            if fused is None:
                self.descend(r)
            else:
                self.descend_fused(fused, r)
        _, residual = self.true_residual()
        self.end(residual <= 1.01 * self.goal, Status.CONVERGED)
        self.end(self.iterations >= self.max_iterations, Status.MAX_ITERATIONS)
        self.end(self.status == RUNNING, Status.STAGNATION)
        return residual

    def descend(self, r: Tensor) -> None:
        """CG from the residual r until the recurrence claims convergence everywhere."""
        moving = self.status == RUNNING
        z = self.precondition(r)
        p, rz = z.clone(), dot(r, z)
        for step in range(1, self.max_iterations + 1):
            Ap = self.apply(p)
            self.products += 1
            pAp = dot(p, Ap)
            self.end(moving & ~(pAp.isfinite() & rz.isfinite()), Status.NONFINITE_ITERATE)
            self.end(moving & (rz <= 0), Status.PRECONDITIONER_INDEFINITE)
            self.end(moving & (pAp <= 0), Status.INDEFINITE)
            moving = moving & (self.status == RUNNING)
            length = torch.where(moving, rz / pAp, 0)
            self.x.addcmul_(length, p)
            r.addcmul_(length, Ap, value=-1)
            self.iterations += moving
            residual = norm(r)
            self.note(residual)
            moving = moving & (residual > self.goal) & (self.iterations < self.max_iterations)
            if step % self.check_every == 0 and not moving.any():
                return
            z = self.precondition(r)
            rz, rz_old = dot(r, z), rz
            p = torch.addcmul(z, torch.where(moving, rz / rz_old, 0), p, out=p)

    def descend_fused(self, fused: Descent, r: Tensor) -> None:
        """The same in one call."""
        limit = torch.where(self.status == RUNNING, self.max_iterations - self.iterations, 0)
        self.x, status, steps = fused(self.x, r, self.goal, limit)
        self.status = torch.where(status != RUNNING, status, self.status)
        self.iterations += steps
        self.products += int(steps.max()) if steps.numel() else 0

    def true_residual(self) -> tuple[Tensor, Tensor]:
        r = self.b - self.apply(self.x)
        self.products += 1
        return r, norm(r)

    def end(self, where: Tensor, status: Status) -> None:
        """Give `status` to the systems that are still running and satisfy `where`."""
        self.status[where & (self.status == RUNNING)] = status

    def note(self, residual: Tensor) -> None:
        if self.record:
            self.history.append(residual / torch.where(self.rhs_norm > 0, self.rhs_norm, 1))


def dot(u: Tensor, v: Tensor) -> Tensor:
    """⟨u, v⟩ over the last axis, kept: ``(*batch, n) -> (*batch, 1)``."""
    return torch.linalg.vecdot(u, v).unsqueeze(-1)


def norm(u: Tensor) -> Tensor:
    """‖u‖₂ over the last axis, kept: ``(*batch, n) -> (*batch, 1)``."""
    return torch.linalg.vector_norm(u, dim=-1, keepdim=True)
