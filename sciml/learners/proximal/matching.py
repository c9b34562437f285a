"""Losses of denoising, of which proximal matching finds the posterior mode: the proximal operator of the log-prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import ConfigurationError

__all__ = ["MatchingSchedule", "matching_loss", "mean_absolute", "mean_square"]


def matching_loss(error: Tensor, gamma: float) -> Tensor:
    """1 − exp(−‖e‖² / (n γ²)) of every sample, averaged: in [0, 1), flat for errors beyond γ.

    As γ falls to 0 its minimiser tends to the posterior mode, which is prox_{−σ² log p} for noise of variance σ² (Fang,
    Buchanan & Sulam 2024, https://arxiv.org/abs/2310.14344, there with γ√n for γ). Mean squares lead to the posterior
    mean instead, and absolute values to the median.

    Parameters
    ----------
    error
        e = f(y) − x, shape ``(batch, ...)``; every row is a sample of n numbers.
    gamma
        γ > 0, in the unit of e.

    Raises
    ------
    ConfigurationError
        If gamma is not positive.

    Examples
    --------
    >>> round(float(matching_loss(torch.full((2, 4), 0.1), gamma=0.1)), 4)
    0.6321
    """
    if not 0 < gamma < math.inf:
        raise ConfigurationError(f"gamma = {gamma}: the width of the matching loss is a positive number.")
    # A sum of squares, never its root: the gradient at e = 0 is zero, not NaN.
    return -torch.expm1(-error.flatten(1).square().mean(1) / gamma**2).mean()


def mean_square(error: Tensor) -> Tensor:
    """Mean of e²: the posterior mean minimises it."""
    return error.square().mean()


def mean_absolute(error: Tensor) -> Tensor:
    """Mean of |e|: the posterior median minimises it."""
    return error.abs().mean()


@dataclass(frozen=True)
class MatchingSchedule:
    """Absolute values first, then matching with a γ that falls geometrically.

    Parameters
    ----------
    warm_start
        Share of the training with mean absolute values: matching alone does not find its way from far off.
    gamma
        First and last γ.

    Raises
    ------
    ConfigurationError
        If a γ is not positive, or γ would rise.

    Examples
    --------
    >>> schedule = MatchingSchedule(0.5, (0.16, 0.04))
    >>> [schedule.width(progress) for progress in (0.0, 0.5, 0.75, 1.0)]
    [None, 0.16, 0.08, 0.04]
    """

    warm_start: float = 0.5
    gamma: tuple[float, float] = (0.16, 0.04)

    def __post_init__(self) -> None:
        first, last = self.gamma
        if not 0 < last < math.inf or not first < math.inf:
            raise ConfigurationError(f"gamma = {self.gamma}: two positive numbers are expected, as (0.16, 0.04).")
        if last > first:
            raise ConfigurationError(
                f"gamma rises from {first:g} to {last:g}: a schedule that falls is expected, as (0.16, 0.04)."
            )
        if not 0 <= self.warm_start <= 1:
            raise ConfigurationError(f"warm_start = {self.warm_start}: a share of the training in [0, 1] is expected.")

    def width(self, progress: float) -> float | None:
        """Γ at a progress in [0, 1]; None during the warm start."""
        if progress < self.warm_start or self.warm_start == 1:
            return None
        first, last = self.gamma
        through = (progress - self.warm_start) / (1 - self.warm_start)
        return float(first * (last / first) ** min(through, 1.0))

    def loss(self, error: Tensor, progress: float) -> Tensor:
        """The loss at a progress in [0, 1]; matching is scaled by γ, as large as absolute values of that size."""
        width = self.width(progress)
        return mean_absolute(error) if width is None else width * matching_loss(error, width)
