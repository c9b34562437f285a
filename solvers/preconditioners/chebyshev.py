"""Chebyshev polynomials in D⁻¹A: a preconditioner, and multigrid's smoother, made of products only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.linear_operator import LinearOperator
from solvers.preconditioners.entries import nonzero_diagonal
from solvers.preconditioners.products import product_of
from solvers.preconditioners.projected import ProjectedInverse

__all__ = ["Chebyshev", "ChebyshevInverse", "spectral_radius"]

_POWER_STEPS = 10


@dataclass(frozen=True)
class Chebyshev:
    """`degree` steps of Chebyshev's iteration on D⁻¹A from zero (Saad 2003, algorithm 12.1).

    The residual polynomial is the smallest one on [`lower`, `upper`] · λ, where λ is the largest eigenvalue of D⁻¹A,
    of each system, as ten power steps from a fixed start see it (usually some percent too small). Positive definite if
    A is: always for an odd degree, for an even one as long as λ is not underestimated by more than `upper` + `lower`.

    Parameters
    ----------
    degree
        Products with A, plus one.
    lower, upper
        Ends of the interval in units of λ. The defaults serve as a preconditioner of its own; a smoother leaves the
        lower part to the coarse grid: ``Chebyshev(2, lower=0.25)``. ``Chebyshev(1, 0.5, 1.0)`` is the damped Jacobi
        smoother with ω = 4/3 / λ.

    Examples
    --------
    >>> import torch
    >>> from solvers import CG, linear_solve, poisson_operator
    >>> A, b = poisson_operator((32, 32)), torch.ones(1024, dtype=torch.float64)
    >>> plain, swept = (linear_solve(A, b, CG(), recipe).stats.iterations for recipe in (None, Chebyshev(3)))
    >>> bool(swept < 0.5 * plain)
    True
    """

    degree: int = 3
    lower: float = 1 / 30
    upper: float = 1.1

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ValueError(f"degree = {self.degree}: the lowest, 1, is damped Jacobi")
        if not 0 < self.lower < self.upper:
            raise ValueError(f"interval [{self.lower}, {self.upper}] · λ: expected 0 < lower < upper")

    @torch.no_grad()
    def setup(self, A: LinearOperator) -> ChebyshevInverse:
        """Estimate the largest eigenvalue of D⁻¹A for every system.

        Raises
        ------
        PatternError
            A diagonal entry is zero.
        """
        diagonal = nonzero_diagonal(A, "Chebyshev")
        product = product_of(A)
        radius = spectral_radius(A, product, diagonal)
        return ChebyshevInverse(A, product, 1 / (diagonal * radius), self.steps())

    def steps(self) -> list[tuple[float, float]]:
        """(α, β) of every step d ← α d + β W (r − A z), z ← z + d, where W A has the spectral radius one."""
        centre, radius = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        sigma = centre / radius
        rho = 1 / sigma
        steps = [(0.0, 1 / centre)]
        for _ in range(self.degree - 1):
            rho_next = 1 / (2 * sigma - rho)
            steps.append((rho_next * rho, 2 * rho_next / radius))
            rho = rho_next
        return steps


class ChebyshevInverse(ProjectedInverse):
    """z = q(W A) W r, with W = D⁻¹ / λ and a polynomial q that is the same for all systems."""

    def __init__(
        self,
        A: LinearOperator,
        product: Callable[[Tensor], Tensor],
        weight: Tensor,
        steps: list[tuple[float, float]],
    ) -> None:
        super().__init__(A)
        self.product, self.weight, self.steps = product, weight, steps
        self.is_spd = "spd" in A.tags

    @property
    def H(self) -> ChebyshevInverse:
        A = self.operator.H
        return self if A is self.operator else ChebyshevInverse(A, product_of(A), self.weight.conj(), self.steps)

    def apply(self, r: Tensor) -> Tensor:
        (_, beta), *later = self.steps
        z = d = (self.weight * r).mul_(beta)
        for alpha, beta in later:
            d = torch.addcmul(d * alpha, self.weight, r - self.product(z), value=beta)
            z = z + d
        return z


def spectral_radius(A: LinearOperator, product: Callable[[Tensor], Tensor], diagonal: Tensor) -> Tensor:
    """The modulus of the largest eigenvalue of D⁻¹A after ten power steps, ``(*batch, 1)``, real; 1 where it is zero.

    The growth is measured in the norm of |D|, in which D⁻¹A is self-adjoint if A is: it rises to λ from below. Every
    system starts from the same vector, so that it does not matter which batch it is in.
    """
    size = diagonal.abs()
    start = torch.randn(A.shape[1], generator=torch.Generator().manual_seed(0), dtype=size.dtype)
    v = A.project(start.to(A.device, A.dtype).expand(*A.batch_shape, -1))
    growth = torch.ones_like(size[..., :1])
    for _ in range(_POWER_STEPS):
        w = product(v) / diagonal
        growth = A.inner(w, size * w).real.sqrt() / A.inner(v, size * v).real.sqrt()
        v = w / torch.where(growth > 0, growth, 1)
    return torch.where(growth > 0, growth, 1)
