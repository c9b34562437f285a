"""The linear least-squares problem near x, by singular values: one factorisation for every damping."""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.nonlinear.linear_model import LinearModel, ScaledRows, largest
from solvers.nonlinear.norm import norm

__all__ = ["SpectralModel", "by_normal_equations", "by_rotations"]


class SpectralModel(LinearModel):
    """J D⁻¹ = U Σ Vᵀ, so that the numerical rank is known.

    Parameters
    ----------
    slopes, lengths, size, scale
        As in `LinearModel`.
    sigma, Vh, components
        Σ ``(*batch, k)``, Vᵀ ``(*batch, k, n)`` and Uᵀ r / ‖r‖ ``(*batch, k)``.
    resolution
        Singular values below this multiple of the largest one are rounding.
    """

    def __init__(
        self,
        slopes: Tensor,
        lengths: Tensor,
        size: Tensor,
        scale: Tensor,
        *,
        sigma: Tensor,
        Vh: Tensor,
        components: Tensor,
        resolution: float,
    ) -> None:
        super().__init__(slopes, lengths, size, scale)
        self.sigma, self.Vh, self.components = sigma, Vh, components
        n = scale.shape[-1]
        self.cut = resolution * largest(sigma)
        smallest = sigma.amin(-1, keepdim=True) if 0 < n <= sigma.shape[-1] else torch.zeros_like(size)
        self.full_rank = smallest > self.cut if n else torch.ones_like(size, dtype=torch.bool)
        self.condition = torch.where(self.full_rank, largest(sigma) / smallest, torch.inf)
        self._newton: tuple[Tensor, Tensor, Tensor] | None = None

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        y = -self.sigma * self.components / (self.sigma.square() + damping)
        y = torch.where(self.sigma > 0, y, 0)
        # ‖r‖² − ‖r + J s‖² = ‖J s‖² + 2 λ ‖D s‖², without cancellation.
        decrease = ((self.sigma * y).square() + 2 * damping * y.square()).sum(-1, keepdim=True)
        return self._step(y), decrease

    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        if self._newton is None:
            used = self.sigma > self.cut
            y = torch.where(used, -self.components / self.sigma, 0)
            slope = torch.where(used, self.components, 0).square().sum(-1, keepdim=True)
            self._newton = self._step(y), norm(y) * self.size, slope
        return self._newton

    def _step(self, y: Tensor) -> Tensor:
        return (self.Vh.mT @ y.unsqueeze(-1)).squeeze(-1) * self.size / self.scale


def by_rotations(rows: ScaledRows, size: Tensor, scale: Tensor) -> SpectralModel:
    """From J D⁻¹ = Q R and R = U Σ Vᵀ: nothing is squared."""
    Q, R = torch.linalg.qr(rows.matrix)
    U, sigma, Vh = torch.linalg.svd(R, full_matrices=False)
    components = ((Q @ U).mT @ rows.unit.unsqueeze(-1)).squeeze(-1)
    resolution = max(rows.matrix.shape[-2:]) * torch.finfo(sigma.dtype).eps
    return SpectralModel(
        rows.slopes, rows.lengths, size, scale, sigma=sigma, Vh=Vh, components=components, resolution=resolution
    )


def by_normal_equations(gram: Tensor, slopes: Tensor, lengths: Tensor, size: Tensor, scale: Tensor) -> SpectralModel:
    """From the eigenvalues Σ² of D⁻¹ JᵀJ D⁻¹ ``(*batch, n, n)``; other arguments as in `LinearModel`."""
    squares, V = torch.linalg.eigh(gram)
    sigma = squares.clamp(min=0).sqrt()
    resolution = (gram.shape[-1] * 4 * torch.finfo(gram.dtype).eps) ** 0.5
    seen = sigma > resolution * largest(sigma)
    projected = (V.mT @ slopes.unsqueeze(-1)).squeeze(-1)
    components = torch.where(seen, projected / sigma, 0)
    sigma = torch.where(seen, sigma, 0)
    return SpectralModel(
        slopes, lengths, size, scale, sigma=sigma, Vh=V.mT, components=components, resolution=resolution
    )
