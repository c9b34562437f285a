"""Correlations between the errors of the outputs, so that joint samples look like the truth."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["shrunk_correlation"]


def shrunk_correlation(residuals: Tensor) -> Tensor:
    """Correlation matrix ``(m, m)`` of standardised residuals ``(n, m)``, shrunk towards the identity.

    With weight λ = Σ_{a≠b} var(r_ab) / Σ_{a≠b} r_ab² on the identity (Schäfer and Strimmer 2005): with few samples
    and many columns most correlations are chance. Positive definite.

    Examples
    --------
    >>> z = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> round(float(shrunk_correlation(torch.cat([z, -z], dim=1))[0, 1]), 1)
    -1.0
    """
    n, m = residuals.shape
    identity = torch.eye(m, dtype=residuals.dtype)
    z = residuals - residuals.mean(dim=0)
    size = z.square().mean(dim=0).sqrt()
    z = torch.where(size > 0, z / torch.where(size > 0, size, 1.0), 0.0)
    r = z.mT @ z / n
    spread = (z.square().mT @ z.square() / n - r.square()) * n**2 / (n - 1) ** 3
    off = ~identity.bool()
    total = float(r[off].square().sum())
    weight = min(1.0, max(0.0, float(spread[off].sum()) / total)) if total > 0 else 1.0
    # A last bit of the identity keeps the matrix positive definite.
    weight = max(weight, 1e-6)
    return (1 - weight) * torch.where(off, r, 0.0) + identity
