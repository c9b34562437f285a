"""How far a new shape is from those of training: what lies outside of their span, and how unusual the rest is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["TrustLimits", "TrustScore", "upper_quantile"]

_FOREIGN = 2.0


@dataclass(frozen=True)
class TrustScore:
    """A shape against the training set, each of whose shapes was compared with the others in the same way.

    Attributes
    ----------
    out_of_span
        Distance of the shape from the span of the kept shape modes, as a share of the part's size.
    mahalanobis
        Distance of its coefficients from their mean, in standard deviations.
    out_of_span_usual, mahalanobis_usual
        95 % quantiles of both over training shapes that were left out.
    growth
        Errors of those shapes grew with the power `growth` of their Mahalanobis distance beyond what was foretold.

    Examples
    --------
    >>> score = TrustScore(out_of_span=0.03, mahalanobis=4.0, out_of_span_usual=0.01, mahalanobis_usual=5.0)
    >>> score.is_foreign, score.inflation
    (True, 3.0)
    """

    out_of_span: float
    mahalanobis: float
    out_of_span_usual: float
    mahalanobis_usual: float
    growth: float = 0.0

    @property
    def ratio(self) -> float:
        """The larger of both scores, in units of what is usual."""
        return max(self.out_of_span / self.out_of_span_usual, self.mahalanobis / self.mahalanobis_usual)

    @property
    def is_foreign(self) -> bool:
        """More than twice as far out as is usual."""
        return self.ratio > _FOREIGN

    @property
    def inflation(self) -> float:
        """Standard deviations are multiplied by it.

        Gaussian processes do not see what is outside of the span; and within it errors may grow faster with the
        distance than the processes say, where samples that were left out have shown so. What each adds to the variance
        is added up.
        """
        outside = max(1.0, self.out_of_span / self.out_of_span_usual)
        unusual = max(1.0, (self.mahalanobis / self.mahalanobis_usual) ** self.growth)
        return math.sqrt(outside**2 + unusual**2 - 1.0)

    def __str__(self) -> str:
        words = (
            f"out of span {self.out_of_span:.2g} (usual up to {self.out_of_span_usual:.2g}), Mahalanobis distance "
            f"{self.mahalanobis:.2g} (up to {self.mahalanobis_usual:.2g})"
        )
        return f"{'foreign' if self.is_foreign else 'familiar'} shape: {words}"


@dataclass(frozen=True)
class TrustLimits:
    """What is needed to judge a shape.

    Attributes
    ----------
    size
        Of the part, √⟨shape − centre, shape − centre⟩.
    deviations
        Standard deviation of each shape coefficient over the training set ``(r,)``.
    out_of_span, mahalanobis
        Sorted scores ``(n,)`` of the training shapes, each left out.
    growth
        As in `TrustScore`.
    """

    size: float
    deviations: Tensor
    out_of_span: Tensor
    mahalanobis: Tensor
    growth: float = 0.0

    def score(self, outside: float, coefficients: Tensor) -> TrustScore:
        """Judge a shape by its distance from the span (‖·‖_M) and its coefficients ``(r,)``."""
        away, unusual = self.out_of_span, self.mahalanobis
        # Where all shapes are equal, rounding must not look foreign (a Gram matrix halves the digits).
        floor = 1e-6
        return TrustScore(
            outside / self.size,
            float((coefficients / self.deviations).norm()),
            max(upper_quantile(away, 0.95), floor),
            max(upper_quantile(unusual, 0.95), floor),
            self.growth,
        )


def upper_quantile(values: Tensor, level: float) -> float:
    """The ⌈(n + 1) level⌉-th smallest of n values, the largest if there is none: a new one is below it that often.

    Examples
    --------
    >>> import torch
    >>> upper_quantile(torch.arange(1.0, 20.0), 0.95), upper_quantile(torch.arange(1.0, 6.0), 0.95)
    (19.0, 5.0)
    """
    ordered = values.flatten().sort().values
    rank = -int(-(len(ordered) + 1) * level // 1)
    return float(ordered[min(rank, len(ordered)) - 1])
