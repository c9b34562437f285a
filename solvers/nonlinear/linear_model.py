"""The linear least-squares problem that stands for r(x + s) near x."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.nonlinear.norm import norm

__all__ = ["LinearModel"]


class LinearModel:
    """min ‖r + J s‖ for a batch of matrices J ``(*batch, m, n)``, by one factorisation for every damping.

    J D⁻¹ = Q R and R = U Σ Vᵀ: no condition number is squared, and the numerical rank is known. Steps are measured as
    ‖D s‖, where D holds the lengths of J's columns, so that the units of x do not matter.

    Parameters
    ----------
    J
        Jacobians, finite.
    r, size
        Residuals ``(*batch, m)`` and their norms ``(*batch, 1)``.
    scale
        D, ``(*batch, n)``, positive.

    Attributes
    ----------
    cosine
        max over j of |⟨Jⱼ, r⟩| / (‖Jⱼ‖ ‖r‖), ``(*batch, 1)``: zero at a minimum (Moré 1978), whatever the units.
    condition
        σ_max / σ_min of J with columns of unit length, ``(*batch, 1)``.
    full_rank
        Whether J has n independent columns, ``(*batch, 1)``.
    """

    def __init__(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> None:
        self.scale, self.size = scale, size
        unit = torch.where(size > 0, r / size, 0)
        columns = column_lengths(J)
        scaled = J / scale.unsqueeze(-2)
        lengths = columns / scale
        Q, R = torch.linalg.qr(scaled)
        U, self.sigma, self.Vh = torch.linalg.svd(R, full_matrices=False)
        #: Uᵀ Qᵀ r / ‖r‖.
        self.components = ((Q @ U).mT @ unit.unsqueeze(-1)).squeeze(-1)
        slopes = (scaled.mT @ unit.unsqueeze(-1)).squeeze(-1).abs()
        self.cosine = _largest(torch.where(lengths > 0, slopes / lengths, 0))
        self.cut = max(J.shape[-2:]) * torch.finfo(J.dtype).eps * _largest(self.sigma)
        smallest = _smallest(self.sigma) if J.shape[-2] >= J.shape[-1] else torch.zeros_like(size)
        self.full_rank = smallest > self.cut if J.shape[-1] else torch.ones_like(size, dtype=torch.bool)
        self.condition = torch.where(self.full_rank, _largest(self.sigma) / smallest, torch.inf)

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        """The step with the smallest ‖r + J s‖² + λ ‖D s‖², and the relative decrease of ‖r‖² that J predicts."""
        y = -self.sigma * self.components / (self.sigma.square() + damping)
        y = torch.where(self.sigma > 0, y, 0)
        # ‖r‖² − ‖r + J s‖² = ‖J s‖² + 2 λ ‖D s‖², without cancellation.
        decrease = ((self.sigma * y).square() + 2 * damping * y.square()).sum(-1, keepdim=True)
        return self._step(y), decrease

    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        """The Gauss–Newton step, the shortest if J has dependent columns; ‖D s‖; −⟨r, J s⟩ / ‖r‖²."""
        used = self.sigma > self.cut
        y = torch.where(used, -self.components / self.sigma, 0)
        slope = torch.where(used, self.components, 0).square().sum(-1, keepdim=True)
        return self._step(y), norm(y) * self.size, slope

    def _step(self, y: Tensor) -> Tensor:
        return (self.Vh.mT @ y.unsqueeze(-1)).squeeze(-1) * self.size / self.scale


def column_lengths(J: Tensor) -> Tensor:
    """‖Jⱼ‖ of every column, ``(*batch, n)``."""
    return norm(J.mT).squeeze(-1)


def _largest(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True) if x.shape[-1] else x.new_zeros(*x.shape[:-1], 1)


def _smallest(x: Tensor) -> Tensor:
    return x.amin(-1, keepdim=True) if x.shape[-1] else x.new_zeros(*x.shape[:-1], 1)
