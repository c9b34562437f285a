"""Noise levels of a range: their checks, draws, and smooth functions of their logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sciml.errors import ConfigurationError, LearnerError

__all__ = ["NoiseLevels"]

_ROUNDING = 1e-5  # of levels that were drawn in single precision


@dataclass(frozen=True)
class NoiseLevels:
    """The levels from the lowest to the highest, with a basis of functions of log σ.

    The basis are quadratic B-splines with equal distances between their knots: no function is negative, their sum is 1,
    so that sums with non-negative coefficients lie between the smallest and the largest of these, and have a continuous
    derivative.

    Parameters
    ----------
    lowest, highest
        Standard deviations, 0 < lowest < highest.
    functions
        How many B-splines, at least 3.

    Raises
    ------
    ConfigurationError
        If one is out of range.

    Examples
    --------
    >>> levels = NoiseLevels(0.02, 0.2)
    >>> basis = levels.basis(torch.tensor([0.02, 0.05, 0.2]))
    >>> basis.shape, bool((basis >= 0).all()), basis.sum(1)
    (torch.Size([3, 3]), True, tensor([1., 1., 1.]))
    """

    lowest: float
    highest: float
    functions: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest < math.inf:
            raise ConfigurationError(
                f"noise levels from {self.lowest:g} to {self.highest:g}: two positive numbers are expected, the "
                "smaller one first, as (0.02, 0.2)."
            )
        if self.functions < 3:
            raise ConfigurationError(f"{self.functions} functions of the noise level: at least 3 are expected, as 5.")

    @property
    def spread(self) -> Tensor:
        """As many levels as functions, from the lowest to the highest: coefficients follow from values there."""
        return self._at(torch.linspace(0, 1, self.functions, dtype=torch.float64))

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Random levels ``(count,)``, log-uniform: one in each of as many equal parts of the range of log σ."""
        return self._at((torch.arange(count) + torch.rand(count, generator=generator)) / max(count, 1))

    def checked(self, sigma: float | Tensor, like: Tensor) -> Tensor:
        """The levels of the samples of ``like (B, ...)``, one or B, in its dtype.

        Raises
        ------
        LearnerError
            If there are as many neither, or one is outside of the range.
        """
        levels = torch.as_tensor(sigma, dtype=like.dtype, device=like.device).reshape(-1)
        if len(levels) not in (1, len(like)):
            raise LearnerError(
                f"noise levels of shape {tuple(torch.as_tensor(sigma).shape)}: one number or one a sample, "
                f"({len(like)},), is expected."
            )
        slack = 1 + _ROUNDING
        within = (levels * slack >= self.lowest) & (levels <= self.highest * slack)
        if not bool(within.all()):
            wrong = float(levels[~within][0])
            raise LearnerError(
                f"noise level {wrong:g}: this network was built for levels from {self.lowest:g} to {self.highest:g}: "
                "choose one of them, or train with a wider range of noise_levels."
            )
        return levels

    def basis(self, sigma: Tensor) -> Tensor:
        """The functions at levels ``(B,)`` of the range, ``(B, functions)``."""
        pieces = self.functions - 2
        u = pieces * (sigma / self.lowest).log() / math.log(self.highest / self.lowest)
        centers = torch.arange(self.functions, dtype=sigma.dtype, device=sigma.device) - 0.5
        away = (u.clamp(0, pieces)[:, None] - centers).abs()
        return torch.where(away < 0.5, 0.75 - away.square(), (1.5 - away).clamp(min=0).square() / 2)

    def _at(self, share: Tensor) -> Tensor:
        return self.lowest * (self.highest / self.lowest) ** share
