"""Extreme eigenvalues of M A: how good a preconditioner is for a matrix, whatever the right-hand side."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from solvers.errors import TagError
from solvers.inverse import Inverse
from solvers.operators.linear_operator import LinearOperator

__all__ = ["preconditioned_spectrum"]


@torch.no_grad()
def preconditioned_spectrum(
    A: LinearOperator, inverse: Inverse, generator: Generator, steps: int = 60
) -> tuple[Tensor, Tensor]:
    """Smallest and largest eigenvalue of M A on the range of A, ``(*batch)`` each, by Lanczos steps.

    Their quotient κ certifies conjugate gradients: after k steps the A-norm of the error has fallen by
    2 ((√κ − 1)/(√κ + 1))ᵏ or more. The estimates come from inside, so that κ is not overestimated; extreme eigenvalues
    are found first, and 60 steps see them to three digits where κ is below about 100.

    Parameters
    ----------
    A
        Tagged symmetric and positive (semi)definite.
    inverse
        M, symmetric positive definite on the range of A: what a preconditioner's `setup` returns.
    generator
        Draws the start.
    steps
        Most Lanczos steps; they end early where the Krylov space of any system does.

    Raises
    ------
    TagError
        M is not known to be symmetric positive definite.

    Examples
    --------
    >>> import torch
    >>> from solvers import Jacobi, poisson_operator
    >>> A = poisson_operator((8,))
    >>> low, high = preconditioned_spectrum(A, Jacobi().setup(A), torch.Generator().manual_seed(0))
    >>> bool(0 < low) and bool(high < 2)
    True
    """
    if not inverse.is_spd:
        raise TagError(
            f"{type(inverse).__name__} is not known to be symmetric positive definite: M A has no real spectrum"
        )
    r = torch.randn((*A.batch_shape, A.shape[0]), generator=generator, dtype=A.dtype, device=generator.device)
    r = A.mv(r.to(A.device))
    z = inverse(r)
    rz = A.inner(r, z).real
    p = z
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    before = torch.zeros_like(rz)
    tiny = torch.finfo(A.dtype).eps ** 2 * rz
    for _ in range(min(steps, A.shape[0])):
        Ap = A.mv(p)
        curvature = A.inner(p, Ap).real
        if not bool(((curvature > 0) & (rz > tiny)).all()):
            break
        length = rz / curvature
        # The tridiagonal matrix of Lanczos from the coefficients of conjugate gradients (Golub & Van Loan, 10.2.5).
        diagonal.append(1 / length + before)
        r = r - length * Ap
        z = inverse(r)
        new = A.inner(r, z).real.clamp(min=0)
        ratio = new / rz
        beside.append(ratio.sqrt() / length)
        before, rz, p = ratio / length, new, z + ratio * p
    d, e = torch.cat(diagonal, -1), torch.cat(beside, -1)[..., :-1]
    T = torch.diag_embed(d) + torch.diag_embed(e, 1) + torch.diag_embed(e, -1)
    values = torch.linalg.eigvalsh(T)
    return values[..., 0], values[..., -1]
