"""The learned prior along paths from a field to worse versions of it: does it know better from worse?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.forward_operators import ReflectingBlur, gaussian_kernel
from sciml.plug_and_play import invert_strength
from sciml.reconstructions.prior_of_run import TrainedPrior

__all__ = ["PriorPath", "prior_paths"]

STEPS = 7
NOISE, BLUR = 2.0, 2.0  # the far ends: times the noise level of training; standard deviation in pixels
_TOLERANCE, _MOST_STEPS = 1e-6, 30


@dataclass(frozen=True)
class PriorPath:
    """R along x + t (y − x), t from 0 to 1, relative to its value at x.

    Attributes
    ----------
    name
        What y is.
    t
        ``(n,)``.
    value
        R(x + t (y − x)) − R(x), ``(n,)``; NaN where the network could not be inverted, as the point is outside of its
        range.
    """

    name: str
    t: Tensor
    value: Tensor


@torch.no_grad()
def prior_paths(prior: TrainedPrior, x: Tensor, seed: int = 0) -> list[PriorPath]:
    """From a field ``(channels, *grid)`` to a noisy version and to a blurred one.

    White noise of any size must raise a prior that was learned from clean fields; blur need not: smooth fields may well
    be the more probable ones.
    """
    noise = torch.randn(x.shape, generator=Generator().manual_seed(seed), dtype=x.dtype)
    kernel = gaussian_kernel(BLUR, x.ndim - 1)
    side = min(x.shape[1:])
    ends = {f"noise {NOISE:g} σ": x + NOISE * prior.problem.noise_level * noise}
    if side >= kernel.shape[0]:
        ends[f"blur {BLUR:g} pixels"] = ReflectingBlur(tuple(x.shape), kernel).apply(x[None])[0]
    t = torch.linspace(0, 1, STEPS, dtype=x.dtype)
    along = t.reshape(-1, *(1,) * x.ndim)
    points = torch.cat([x + along * (y - x) for y in ends.values()])
    found = invert_strength(prior.network, points, 0.0, tolerance=_TOLERANCE, max_steps=_MOST_STEPS, throw=False)
    values = torch.where(found.converged, found.prior_value, torch.nan).reshape(len(ends), STEPS)
    return [PriorPath(name, t, row - row[0]) for name, row in zip(ends, values, strict=True)]
