"""Freundlich's law: how much of a solute sits on the grains, and how much slower it moves for that."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["Freundlich"]

# PDEBench's: keeps R finite at u = 0.
SHIFT = 1e-6


@dataclass(frozen=True)
class Freundlich:
    """R(u) = 1 + c (u⁺ + 10⁻⁶)^(n−1) with c = (1 − φ)/φ · ρ k n and u⁺ = max(u, 0) (PDEBench, Takamoto et al. 2022).

    Parameters
    ----------
    porosity, density, coefficient, exponent
        φ, ρ, k and n.

    Raises
    ------
    ProblemError
        If a number is out of range: 0 < φ < 1, ρ > 0, k ≥ 0, 0 < n ≤ 1.

    Examples
    --------
    >>> import torch
    >>> law = Freundlich(0.29, 2880.0, 3.5e-4, 0.874)
    >>> law.retardation(torch.tensor([0.0, 0.2, 1.0]))
    tensor([13.2979,  3.6418,  3.1569])
    """

    porosity: float
    density: float
    coefficient: float
    exponent: float

    def __post_init__(self) -> None:
        if not 0 < self.porosity < 1:
            raise ProblemError(f"porosity {self.porosity}: a number between 0 and 1 is expected.")
        if not (0 < self.density < float("inf") and 0 <= self.coefficient < float("inf")):
            raise ProblemError(
                f"density {self.density}, sorption coefficient {self.coefficient}: a positive number and one that is "
                "not negative are expected."
            )
        if not 0 < self.exponent <= 1:
            raise ProblemError(f"sorption exponent {self.exponent}: above 0 and at most 1 is expected.")

    @property
    def strength(self) -> float:
        """c."""
        return (1 - self.porosity) / self.porosity * self.density * self.coefficient * self.exponent

    def retardation(self, u: Tensor) -> Tensor:
        """R(u), of any shape; constant below zero."""
        return 1 + self.strength * (u.clamp_min(0) + SHIFT) ** (self.exponent - 1)

    def steepening(self, u: Tensor) -> Tensor:
        """R′(u); zero below zero, where autograd has it, too, and not at zero itself."""
        above = u.clamp_min(0) + SHIFT
        return torch.where(u >= 0, self.strength * (self.exponent - 1) * above ** (self.exponent - 2), 0)

    def stored(self, u: Tensor) -> Tensor:
        """m(u) = ∫₀ᵘ R: all solute of a unit of pore space, dissolved and sorbed; increasing and concave."""
        above = u.clamp_min(0)
        sorbed = (above + SHIFT) ** self.exponent - SHIFT**self.exponent
        # u − u⁺, not min(u, 0): at u = 0 autograd gives both clamps the slope 1, which would count twice.
        below = SHIFT ** (self.exponent - 1) * (u - above)
        return u + self.strength * (sorbed / self.exponent + below)
