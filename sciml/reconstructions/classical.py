"""Regularisation without learning, as reconstructions are compared with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pde_benchmarks.imaging.forward_operators import LinearForwardOperator
from sciml.plug_and_play import (
    Backtracking,
    ChambollePock,
    GaussianFidelity,
    Method,
    TotalVariation,
    reconstruct,
    smoothness_precision,
    tikhonov,
)

__all__ = ["CLASSICAL", "SMOOTH", "Classical"]


@dataclass(frozen=True)
class Classical(ABC):
    """A regulariser whose weight is to be chosen from an interval.

    Parameters
    ----------
    fidelity
        Of the data.
    peak
        The range of the field's values, which sets the scale of weights.
    """

    fidelity: GaussianFidelity
    peak: float
    #: The interval for fields of range one.
    interval: ClassVar[tuple[float, float]]
    #: Of the regulariser, as a function of the field.
    degree: ClassVar[int]

    @property
    def lowest(self) -> float:
        """The smallest weight."""
        return self.interval[0] / self.peak**self.degree

    @property
    def highest(self) -> float:
        """The largest weight."""
        return self.interval[1] / self.peak**self.degree

    @abstractmethod
    def solve(self, weight: Tensor, start: Tensor) -> Tensor:
        """Fields ``(B, channels, *grid)`` for weights ``(B,)``, from a first guess."""


class Tikhonov(Classical):
    """½ ‖∇x‖²."""

    interval = (1e-2, 1e6)
    degree = 2

    def solve(self, weight: Tensor, start: Tensor) -> Tensor:
        precision = smoothness_precision(tuple(start.shape[1:]))
        return tikhonov(self.fidelity, weight, precision, start=start, throw=False)


class TotalVariationMethod(Classical):
    """Σ ‖∇x‖."""

    interval = (1e-2, 1e5)
    degree = 1

    def solve(self, weight: Tensor, start: Tensor) -> Tensor:
        prior = TotalVariation()
        method: Method = ChambollePock(1e-4, 500)
        if not isinstance(self.fidelity.operator, LinearForwardOperator):
            # Every step solves equations, and minimises inside: no more exactly than data of noise deserve.
            prior, method = TotalVariation(tolerance=1e-3), Backtracking(1e-3, 60)
        return reconstruct(self.fidelity, prior, weight, method, start=start, throw=False).x


SMOOTH = "Tikhonov"
CLASSICAL: dict[str, type[Classical]] = {SMOOTH: Tikhonov, "total variation": TotalVariationMethod}
