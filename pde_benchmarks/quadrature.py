"""Points with weights at which an integral is estimated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Quadrature"]


@dataclass(frozen=True)
class Quadrature:
    """The points of one step, shared by all samples.

    Parameters
    ----------
    points
        Shape ``(n, dim)``; where the equation has a time, it is the last coordinate.
    weights
        Shape ``(n,)``, so that Σ weights · g(points) estimates the integral of g over the domain, or, for a form that
        tests with local functions, over the domain around each of them (the form says).
    """

    points: Tensor
    weights: Tensor
