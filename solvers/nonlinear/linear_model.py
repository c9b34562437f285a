"""The linear least-squares problem that stands for r(x + s) near x."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from solvers.nonlinear.norm import norm

__all__ = ["LinearModel", "column_lengths", "largest"]


class LinearModel(ABC):
    """min ‖r + J s‖ for a batch of matrices J ``(*batch, m, n)``.

    Steps are measured as ‖D s‖, where D holds the lengths of J's columns, so that the units of x do not matter.

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

    condition: Tensor
    full_rank: Tensor

    def __init__(self, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> None:
        self.scale, self.size = scale, size
        #: r / ‖r‖, J D⁻¹, and what is left of ‖r‖⁻¹ D⁻¹ Jᵀ r.
        self.unit = torch.where(size > 0, r / size, 0)
        self.scaled = J / scale.unsqueeze(-2)
        self.slopes = (self.scaled.mT @ self.unit.unsqueeze(-1)).squeeze(-1)
        lengths = column_lengths(J) / scale
        self.cosine = largest(torch.where(lengths > 0, self.slopes.abs() / lengths, 0))

    @abstractmethod
    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        """The step with the smallest ‖r + J s‖² + λ ‖D s‖², and the relative decrease of ‖r‖² that J predicts."""

    @abstractmethod
    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        """The Gauss–Newton step, the shortest if J has dependent columns; ‖D s‖; −⟨r, J s⟩ / ‖r‖²."""


def column_lengths(J: Tensor) -> Tensor:
    """‖Jⱼ‖ of every column, ``(*batch, n)``."""
    lengths = torch.linalg.vector_norm(J, dim=-2)
    limit = torch.finfo(J.dtype).max ** 0.5
    plain = (lengths > 1e3 / limit) & (lengths < limit)
    if bool(plain.all()):
        return lengths
    # Squares that over- or underflow, or nothing to square; the other columns keep their bits.
    return torch.where(plain, lengths, norm(J.mT).squeeze(-1))


def largest(x: Tensor) -> Tensor:
    """The largest entry, ``(*batch, 1)``; 0 of none."""
    return x.amax(-1, keepdim=True) if x.shape[-1] else x.new_zeros(*x.shape[:-1], 1)
