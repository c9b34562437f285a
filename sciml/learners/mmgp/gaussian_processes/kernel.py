"""The Matérn-5/2 covariance of several kernels at once, and Cholesky factors that are sure to exist."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["JITTERS", "factorise", "matern", "matern_factors", "plus_diagonal"]

JITTERS = (1e-9, 1e-8, 1e-7, 1e-6)
"""Added to the diagonal in turn until a Cholesky factor exists (outputs have unit variance)."""


def matern(inputs: Tensor, others: Tensor, length_scales: Tensor, signal: Tensor) -> Tensor:
    """Matérn-5/2 covariance sf² (1 + a + a²/3) e^−a, a² = 5 Σ_j (x_j − x'_j)² / l_j² (Rasmussen & Williams, eq. 4.17).

    Parameters
    ----------
    inputs, others
        ``(n, d)`` and ``(q, d)``, or ``(g, n, d)`` and ``(g, q, d)``.
    length_scales, signal
        ``(g, d)`` and the variances sf² ``(g,)`` of g kernels.

    Returns
    -------
    Tensor
        ``(g, n, q)``.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> matern(x, x, torch.ones(1, 1), torch.tensor([2.0]))
    tensor([[[2.0000, 1.0480],
             [1.0480, 2.0000]]])
    """
    return matern_factors(inputs / length_scales[:, None], others / length_scales[:, None], signal)[0]


def matern_factors(scaled: Tensor, others: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
    """The covariance ``(g, n, q)`` of inputs divided by their length scales, and sf² (1 + a) e^−a, its slope in −a²/6.

    Parameters
    ----------
    scaled, others
        ``(g, n, d)`` and ``(g, q, d)``.
    signal
        ``(g,)``.
    """
    norms = scaled.square().sum(-1)[:, :, None] + others.square().sum(-1)[:, None]
    # Held away from zero, so that the root has a derivative where two points meet.
    square = torch.baddbmm(norms, scaled, others.mT, beta=5, alpha=-10).clamp_min(1e-30)
    a = square.sqrt()
    slope = signal[:, None, None] * (1 + a) * torch.exp(-a)
    return torch.addcmul(slope, slope, square / (3 * (1 + a))), slope


def factorise(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factors of ``(g, n, n)``, and the jitter each needed ``(g,)``: NaN where the largest was not enough."""
    jitter = covariance.new_full((len(covariance),), JITTERS[0])
    root, failed = torch.linalg.cholesky_ex(plus_diagonal(covariance, jitter))
    for larger in JITTERS[1:]:
        rows = failed.nonzero().flatten()
        if not len(rows):
            return root, jitter
        jitter[rows] = larger
        root[rows], failed[rows] = torch.linalg.cholesky_ex(plus_diagonal(covariance[rows], jitter[rows]))
    return root, jitter.masked_fill(failed > 0, math.nan)


def plus_diagonal(matrices: Tensor, addition: Tensor) -> Tensor:
    """A copy of ``(g, n, n)`` with ``addition (g,)`` on the diagonals."""
    result = matrices.clone()
    result.diagonal(dim1=-2, dim2=-1).add_(addition[:, None])
    return result
