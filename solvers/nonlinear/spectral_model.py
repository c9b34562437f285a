"""The linear least-squares problem near x, by singular values: one factorisation for every damping."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.nonlinear.linear_model import LinearModel, largest
from solvers.nonlinear.norm import norm

__all__ = ["SpectralModel", "SquaredModel"]


class SpectralModel(LinearModel):
    """J D⁻¹ = U Σ Vᵀ, so that the numerical rank is known.

    Parameters
    ----------
    J, r, size, scale
        As in `LinearModel`.
    """

    def __init__(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> None:
        super().__init__(J, r, size, scale)
        m, n = J.shape[-2:]
        #: Of J D⁻¹, and Uᵀ r / ‖r‖.
        self.sigma, self.Vh, self.components = self.factor()
        self.cut = self.resolution() * largest(self.sigma)
        smallest = _smallest(self.sigma) if m >= n else torch.zeros_like(size)
        self.full_rank = smallest > self.cut if n else torch.ones_like(size, dtype=torch.bool)
        self.condition = torch.where(self.full_rank, largest(self.sigma) / smallest, torch.inf)

    def factor(self) -> tuple[Tensor, Tensor, Tensor]:
        """Σ ``(*batch, k)``, Vᵀ ``(*batch, k, n)`` and Uᵀ r / ‖r‖ ``(*batch, k)``: by rotations, nothing is squared."""
        Q, R = torch.linalg.qr(self.scaled)
        U, sigma, Vh = torch.linalg.svd(R, full_matrices=False)
        return sigma, Vh, ((Q @ U).mT @ self.unit.unsqueeze(-1)).squeeze(-1)

    def resolution(self) -> float:
        """Singular values below this multiple of the largest one are rounding."""
        return max(self.scaled.shape[-2:]) * torch.finfo(self.scaled.dtype).eps

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        y = -self.sigma * self.components / (self.sigma.square() + damping)
        y = torch.where(self.sigma > 0, y, 0)
        # ‖r‖² − ‖r + J s‖² = ‖J s‖² + 2 λ ‖D s‖², without cancellation.
        decrease = ((self.sigma * y).square() + 2 * damping * y.square()).sum(-1, keepdim=True)
        return self._step(y), decrease

    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        used = self.sigma > self.cut
        y = torch.where(used, -self.components / self.sigma, 0)
        slope = torch.where(used, self.components, 0).square().sum(-1, keepdim=True)
        return self._step(y), norm(y) * self.size, slope

    def _step(self, y: Tensor) -> Tensor:
        return (self.Vh.mT @ y.unsqueeze(-1)).squeeze(-1) * self.size / self.scale


class SquaredModel(SpectralModel):
    """The same from the eigenvalues Σ² of the normal equations."""

    def factor(self) -> tuple[Tensor, Tensor, Tensor]:
        squares, V = torch.linalg.eigh(self.scaled.mT @ self.scaled)
        sigma = squares.clamp(min=0).sqrt()
        seen = sigma > self.resolution() * largest(sigma)
        projected = (V.mT @ self.slopes.unsqueeze(-1)).squeeze(-1)
        return torch.where(seen, sigma, 0), V.mT, torch.where(seen, projected / sigma, 0)

    def resolution(self) -> float:
        return (self.scaled.shape[-1] * 4 * torch.finfo(self.scaled.dtype).eps) ** 0.5


def _smallest(x: Tensor) -> Tensor:
    return x.amin(-1, keepdim=True) if x.shape[-1] else x.new_zeros(*x.shape[:-1], 1)
