"""Whether errors grow with a shape's distance from the training set beyond what the error bars know of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["distance_growth"]

#: Chance of a growth that is found where there is none.
_CHANCE = 0.05
#: Errors are compared where they are at least this share of the usual one.
_LEAST = 1e-2
_FEWEST = 10


def distance_growth(distances: Tensor, scores: Sequence[Tensor]) -> float:
    """γ ≥ 0 with error / standard deviation ~ distance^γ over samples that were left out; 0 where none is seen.

    The slope of a straight line through the logarithms, if it is larger than what chance makes of none in one of
    twenty training sets (Student's test, one-sided). Error bars that shrank with the distance are left as they are.

    Parameters
    ----------
    distances
        Mahalanobis distance of each shape from the others ``(n,)``.
    scores
        For each output the root mean square of error / standard deviation of each sample ``(n,)``; outputs count the
        same.

    Examples
    --------
    >>> d = torch.linspace(2, 6, 50, dtype=torch.float64)
    >>> wobble = torch.linspace(0, 40, 50, dtype=torch.float64).sin().mul(0.1).exp()
    >>> round(distance_growth(d, [0.2 * d**1.5 * wobble]), 1), distance_growth(d, [wobble])
    (1.5, 0.0)
    """
    from scipy.special import stdtrit

    sizes = [score.square().mean() for score in scores]
    known = [score.square() / size for score, size in zip(scores, sizes, strict=True) if size > 0]
    used = distances > 0
    if not known or int(used.sum()) < _FEWEST:
        return 0.0
    y = torch.stack(known).mean(dim=0).sqrt().clamp_min(_LEAST)[used].log()
    x = distances[used].log()
    x, y, freedom = x - x.mean(), y - y.mean(), len(x) - 2
    spread = float(x.square().sum())
    if spread <= 1e-12 * len(x):
        return 0.0
    slope = float(x @ y) / spread
    error = float((y - slope * x).square().sum() / freedom / spread) ** 0.5
    return slope if slope > float(stdtrit(freedom, 1 - _CHANCE)) * error else 0.0
