"""The lid-driven cavity's velocities that Ghia, Ghia and Shin published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.smoke.state import FlowState

__all__ = ["CavityErrors", "cavity_errors", "ghia_u", "ghia_v"]

_Y = (
    .9766, .9688, .9609, .9531, .8516, .7344, .6172, .5000, .4531, .2813, .1719, .1016,
    .0703, .0625, .0547,
)  # fmt: skip
_U = {
    100: (.84123, .78871, .73722, .68717, .23151, .00332, -.13641, -.20581, -.21090, -.15662, -.10150, -.06434,
          -.04775, -.04192, -.03717),
    400: (.75837, .68439, .61756, .55892, .29093, .16256, .02135, -.11477, -.17119, -.32726, -.24299, -.14612,
          -.10338, -.09266, -.08186),
    1000: (.65928, .57492, .51117, .46604, .33304, .18719, .05702, -.06080, -.10648, -.27805, -.38289, -.29730,
           -.22220, -.20196, -.18109),
}  # fmt: skip
_X = (
    .9688, .9609, .9531, .9453, .9063, .8594, .8047, .5000, .2344, .2266, .1563, .0938, .0781,
    .0703, .0625,
)  # fmt: skip
_V = {
    100: (-.05906, -.07391, -.08864, -.10313, -.16914, -.22445, -.24533, .05454, .17527, .17507, .16077, .12317,
          .10890, .10091, .09233),
    # The fifth value is misprinted in the source (−0.23827; computations give −0.387).
    400: (-.12146, -.15663, -.19254, -.22847, float("nan"), -.44993, -.38598, .05186, .30174, .30203, .28124, .22965,
          .20920, .19713, .18360),
    1000: (-.21388, -.27669, -.33714, -.39188, -.51550, -.42665, -.31966, .02526, .32235, .33075, .37095, .32627,
           .30353, .29012, .27485),
}  # fmt: skip


class CavityErrors(NamedTuple):
    """Largest difference from the published values of u on x = 1/2 and of v on y = 1/2."""

    u: float
    v: float


def ghia_u(reynolds: int) -> tuple[Tensor, Tensor]:
    """Heights y and the velocity u on the vertical line through the centre (Ghia, Ghia & Shin 1982, table I).

    Raises
    ------
    ProblemError
        The Reynolds number is not 100, 400 or 1000.

    Examples
    --------
    >>> y, u = ghia_u(100)
    >>> float(u.min())
    -0.2109
    """
    return _line(reynolds, _Y, _U)


def ghia_v(reynolds: int) -> tuple[Tensor, Tensor]:
    """Places x and the velocity v on the horizontal line through the centre (table II), NaN where misprinted.

    Raises
    ------
    ProblemError
        As `ghia_u`.
    """
    return _line(reynolds, _X, _V)


def cavity_errors(state: FlowState, reynolds: int) -> CavityErrors:
    """How far a cavity flow (`scenes.cavity`, even resolution) is from the table.

    Parameters
    ----------
    state
        Its steady state; the largest difference over the batch is taken.
    reynolds
        100, 400 or 1000.
    """
    u, v = state.velocity
    n = u.shape[2]
    across = u[:, n // 2].double(), v[:, :, n // 2].double()
    lid = (0.0, 1.0), (0.0, 0.0)
    errors = []
    for profile, (place, published), (low, high) in zip(across, (ghia_u(reynolds), ghia_v(reynolds)), lid, strict=True):
        known = ~published.isnan()
        computed = _interpolated(profile, place[known], low, high)
        errors.append(float((computed - published[known]).abs().max()))
    return CavityErrors(*errors)


def _line(reynolds: int, places: tuple[float, ...], table: Mapping[int, tuple[float, ...]]) -> tuple[Tensor, Tensor]:
    if reynolds not in table:
        raise ProblemError(f"Reynolds number {reynolds}: the table has {', '.join(map(str, table))}.")
    return torch.tensor(places, dtype=torch.float64), torch.tensor(table[reynolds], dtype=torch.float64)


def _interpolated(profile: Tensor, places: Tensor, low: float, high: float) -> Tensor:
    """A profile ``(batch, n)`` at cell centres, and its values at both walls, linearly between."""
    n = profile.shape[1]
    ends = profile.new_tensor([low]).expand(len(profile), 1), profile.new_tensor([high]).expand(len(profile), 1)
    values = torch.cat([ends[0], profile, ends[1]], 1)
    nodes = torch.cat([places.new_zeros(1), (torch.arange(n) + 0.5) / n, places.new_ones(1)])
    right = torch.searchsorted(nodes, places)
    weight = (places - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
    return values[:, right - 1] * (1 - weight) + values[:, right] * weight
