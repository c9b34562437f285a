"""The linear least-squares problem that stands for r(x + s) near x."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.nonlinear.norm import norm

__all__ = ["LinearModel", "ScaledRows", "column_lengths", "largest"]


class LinearModel(ABC):
    """min ‖r + J s‖ for a batch of matrices J ``(*batch, m, n)``.

    Steps are measured as ‖D s‖, where D holds the lengths of J's columns, so that the units of x do not matter.

    Parameters
    ----------
    slopes
        ‖r‖⁻¹ D⁻¹ Jᵀ r, ``(*batch, n)``.
    lengths
        Of the columns of J D⁻¹.
    size
        ‖r‖, ``(*batch, 1)``.
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

    def __init__(self, slopes: Tensor, lengths: Tensor, size: Tensor, scale: Tensor) -> None:
        self.slopes, self.size, self.scale = slopes, size, scale
        self.cosine = largest(torch.where(lengths > 0, slopes.abs() / lengths, 0))

    @abstractmethod
    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        """The step with the smallest ‖r + J s‖² + λ ‖D s‖², and the relative decrease of ‖r‖² that J predicts."""

    @abstractmethod
    def undamped(self) -> tuple[Tensor, Tensor, Tensor]:
        """The Gauss–Newton step, the shortest if J has dependent columns; ‖D s‖; −⟨r, J s⟩ / ‖r‖²."""


@dataclass(frozen=True)
class ScaledRows:
    """J D⁻¹ and r / ‖r‖ of J ``(*batch, m, n)``, finite, and r ``(*batch, m)``.

    Attributes
    ----------
    matrix, unit
        J D⁻¹, and r / ‖r‖, zero where r is.
    lengths
        Of the columns of J D⁻¹.
    slopes
        ‖r‖⁻¹ D⁻¹ Jᵀ r.
    """

    matrix: Tensor
    unit: Tensor
    lengths: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, J: Tensor, r: Tensor, size: Tensor, scale: Tensor) -> ScaledRows:
        """With size = ‖r‖ and scale = D."""
        matrix, unit = J / scale.unsqueeze(-2), torch.where(size > 0, r / size, 0)
        return cls(matrix, unit, column_lengths(J) / scale, (matrix.mT @ unit.unsqueeze(-1)).squeeze(-1))


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
