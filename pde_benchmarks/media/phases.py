"""Media made of two or three phases, with smooth interfaces drawn by Gaussian fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.media.medium import Medium
from pde_benchmarks.problem import Phases
from pde_benchmarks.random_fields import GaussianField

__all__ = ["ThreePhaseDarcy", "TwoPhaseDarcy"]


@dataclass(frozen=True)
class TwoPhaseDarcy(Medium):
    """Darcy flow (see `Medium`) with a = 10 where a Gaussian field of covariance (−Δ + 9)⁻² is positive, else 5.

    With the default parameters the map of Zang and Koutsourelakis (J. Comput. Phys. 538, 2025).

    Parameters
    ----------
    resolution, average
        As in `Medium`.
    low, high
        The two values.
    inverse_length
        3 in the covariance above (its square is the 9); more makes finer media.
    volume_fraction
        Share of the nodes with the high value, the same in every sample: the field is cut at that quantile. None: it is
        cut at zero, and the share varies around a half.

    Examples
    --------
    >>> problem = TwoPhaseDarcy()
    >>> a = problem.sample(2, torch.Generator().manual_seed(0))
    >>> sorted(set(a["coefficient"].flatten().tolist())), problem.solve(a)["solution"].shape
    ([5.0, 10.0], torch.Size([2, 1, 29, 29]))
    """

    low: float = 5.0
    high: float = 10.0
    inverse_length: float = 3.0
    volume_fraction: float | None = None
    name: ClassVar[str] = "darcy-two-phase"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_phases(self.name, (self.low, self.high), self.inverse_length)
        if self.volume_fraction is not None and not 0 < self.volume_fraction < 1:
            raise ProblemError(f"{self.name} volume_fraction {self.volume_fraction}: between 0 and 1 is expected.")

    @property
    def kind(self) -> Phases:
        """The two values."""
        return Phases((self.low, self.high))

    @property
    def typical_coefficient(self) -> float:
        """Their geometric mean."""
        return math.sqrt(self.low * self.high)

    def coefficients(self, count: int, generator: Generator) -> Tensor:
        """Random media, float64, ``(count, n, n)``."""
        g = GaussianField(2.0, self.inverse_length).sample(count, self.grid, generator)
        threshold = torch.zeros(()) if self.volume_fraction is None else _quantile(g, 1 - self.volume_fraction)
        return torch.where(g >= threshold, self.high, self.low).to(torch.float64)


@dataclass(frozen=True)
class ThreePhaseDarcy(Medium):
    """Darcy flow (see `Medium`) through three phases, each of which touches both others.

    The low phase is where one Gaussian field of covariance (−Δ + inverse_length²)⁻² is below its quantile
    `low_fraction`; a second, independent one tells middle from high in the rest, half and half (a plurigaussian medium;
    Armstrong et al. 2011).

    Parameters
    ----------
    resolution, average
        As in `Medium`.
    low, middle, high
        The three values.
    inverse_length
        As in `TwoPhaseDarcy`.
    low_fraction
        Share of the low phase, the same in every sample.

    Examples
    --------
    >>> a = ThreePhaseDarcy().sample(2, torch.Generator().manual_seed(0))["coefficient"]
    >>> a.unique()
    tensor([ 2.,  5., 10.], dtype=torch.float64)
    """

    low: float = 2.0
    middle: float = 5.0
    high: float = 10.0
    inverse_length: float = 3.0
    low_fraction: float = 1 / 3
    name: ClassVar[str] = "darcy-three-phase"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_phases(self.name, (self.low, self.middle, self.high), self.inverse_length)
        if not 0 < self.low_fraction < 1:
            raise ProblemError(f"{self.name} low_fraction {self.low_fraction}: a number between 0 and 1 is expected.")

    @property
    def kind(self) -> Phases:
        """The three values."""
        return Phases((self.low, self.middle, self.high))

    @property
    def typical_coefficient(self) -> float:
        """Their geometric mean."""
        return (self.low * self.middle * self.high) ** (1 / 3)

    def coefficients(self, count: int, generator: Generator) -> Tensor:
        """Random media, float64, ``(count, n, n)``."""
        law = GaussianField(2.0, self.inverse_length)
        first, second = (law.sample(count, self.grid, generator) for _ in range(2))
        is_low = first < _quantile(first, self.low_fraction)
        # The share of high among what is not low is a half, as the median there says.
        middle = torch.where(is_low, torch.nan, second).flatten(1).nanquantile(0.5, 1)[:, None, None]
        rest = torch.where(second >= middle, self.high, self.middle)
        return torch.where(is_low, self.low, rest).to(torch.float64)


def _quantile(field: Tensor, share: float) -> Tensor:
    """The value below which ``share`` of every sample's nodes lie, ``(count, 1, 1)``."""
    return field.flatten(1).quantile(share, 1)[:, None, None]


def _check_phases(name: str, values: tuple[float, ...], inverse_length: float) -> None:
    if not all(lower < upper for lower, upper in zip((0.0, *values), values, strict=False)):
        raise ProblemError(f"{name} phases {values}: positive values in increasing order are expected.")
    if not inverse_length > 0:
        raise ProblemError(f"{name} inverse_length {inverse_length}: a positive number is expected.")
