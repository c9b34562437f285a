"""Brownian paths that are functions of a seed and the time, so that no step taken or rejected changes them.

A stack of bridged increments draws numbers in the order of the requests: its W(T) has the right law, but another value
for every partition of the interval. Here W is the sum of Lévy and Ciesielski, every term a pure function of the seed:
the value at a time never depends on what was asked before, and rejections need no memory.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sciml.learners.neural_ode.controller import Times
from sciml.learners.neural_ode.errors import IntegrationInputError
from sciml.learners.neural_sde.counter_noise import normals, stream_keys

__all__ = ["BrownianPath"]

# Terms computed together: what fits a core's cache, and what fits an accelerator's memory.
_ON_CPU, _ELSEWHERE = 1 << 15, 1 << 25


class BrownianPath:
    """Independent Brownian motions W(t), W(start) = 0, on an interval: one per sample and feature.

    On an interval of length 1, W(t) = t Z₀ + Σ_l 2^(−(l−1)/2) min(p, 1 − p) Z_(l,k), where [start, end] has been halved
    l − 1 times, the k-th part contains t, at p ∈ [0, 1] of its length (Lévy's construction; Karatzas & Shreve,
    Brownian Motion and Stochastic Calculus, 2.3). At a multiple of ``(end − start) / 2^levels``, a tick, the sum is
    finite: there the law of W is exact. Other times are rounded to the nearest tick.

    Parameters
    ----------
    seeds
        One seed per sample, ``(B,)`` int64; the path of a sample depends on its own seed only.
    features
        Independent motions per sample, n.
    start, end
        The interval, or one per sample, ``(B,)``.
    levels
        How often the interval is halved, at most 50.

    Raises
    ------
    IntegrationInputError
        For seeds, an interval or levels of another kind.

    Examples
    --------
    >>> path = BrownianPath(torch.tensor([7, 8]), features=3)
    >>> one_go, by_parts = path.increment(0.0, 1.0), path.increment(0.0, 0.3) + path.increment(0.3, 1.0)
    >>> torch.allclose(one_go, by_parts)
    True
    """

    def __init__(
        self, seeds: Tensor, features: int, start: ArrayLike = 0.0, end: ArrayLike = 1.0, levels: int = 24
    ) -> None:
        if seeds.ndim != 1 or seeds.dtype != torch.int64:
            raise IntegrationInputError(
                f"seeds: {tuple(seeds.shape)} {seeds.dtype}; expected one int64 per sample: independent_seeds(0, 8)."
            )
        if features < 1 or not 1 <= levels <= 50:
            raise IntegrationInputError(
                f"features={features}, levels={levels}: expected at least one feature, and from 1 to 50 levels."
            )
        self.seeds = seeds
        self.features = features
        self.levels = levels
        self.start = np.broadcast_to(np.asarray(start, dtype=np.float64), seeds.shape)
        self.end = np.broadcast_to(np.asarray(end, dtype=np.float64), seeds.shape)
        if not (np.isfinite(self.start) & np.isfinite(self.end) & (self.start < self.end)).all():
            raise IntegrationInputError(
                f"start={self.start.tolist()}, end={self.end.tolist()}: expected finite times, the end after the start."
            )

    @property
    def resolution(self) -> Times:
        """Length of a tick of every sample, ``(B,)``."""
        return (self.end - self.start) * 2.0**-self.levels

    def __call__(self, t: ArrayLike) -> Tensor:
        """Return W at one time, or at one time per sample, ``(B, n)`` float64.

        Raises
        ------
        IntegrationInputError
            If a time is outside of the interval.
        """
        return self.at(self.ticks(np.asarray(t, dtype=np.float64)))

    def increment(self, begin: ArrayLike, end: ArrayLike) -> Tensor:
        """Return W(end) − W(begin), ``(B, n)``."""
        return self(end) - self(begin)

    def ticks(self, times: Times) -> Times:
        """Return the nearest ticks, as float64, of times that broadcast with ``(..., B)``.

        Raises
        ------
        IntegrationInputError
            If a time is outside of the interval.
        """
        ticks = np.rint((times - self.start) / self.resolution)
        outside = ~((ticks >= 0) & (ticks <= 2.0**self.levels))
        if outside.any():
            position = tuple(outside.nonzero()[i][0] for i in range(outside.ndim))
            sample = int(position[-1])
            raise IntegrationInputError(
                f"time {np.broadcast_to(times, ticks.shape)[position]:.6g} of sample {sample} is outside of the "
                f"Brownian path, [{self.start[sample]:.6g}, {self.end[sample]:.6g}]; give the path a longer interval."
            )
        return ticks

    def times(self, ticks: Times) -> Times:
        """Return the times of ticks, ``(B,)``."""
        return self.start + ticks * self.resolution

    def at(self, ticks: Times, rows: NDArray[np.int64] | None = None) -> Tensor:
        """Return W at one tick for every sample, or for the given samples, ``(R, n)`` float64."""
        chosen = np.arange(len(self.start)) if rows is None else rows
        ticks = np.broadcast_to(ticks, chosen.shape)
        length = max(1, (_ON_CPU if self.seeds.device.type == "cpu" else _ELSEWHERE) // (self.levels * self.features))
        parts = [self._part(ticks[i : i + length], chosen[i : i + length]) for i in range(0, len(chosen), length)]
        return torch.cat(parts) if parts else self._keys.new_zeros(0, self.features, dtype=torch.float64)

    def _part(self, ticks: Times, rows: NDArray[np.int64]) -> Tensor:
        # Samples asked at equal times share the terms' indices and weights.
        distinct, which = np.unique(ticks.astype(np.int64), return_inverse=True)
        device = self.seeds.device
        index = torch.from_numpy(which).to(device)
        nodes, weights = (torch.from_numpy(part).to(device)[:, index, None] for part in self._expansion(distinct))
        noise = normals(self._keys[torch.from_numpy(rows).to(device)], nodes)
        scale = torch.from_numpy(np.sqrt((self.end - self.start)[rows])).to(device)[:, None]
        return noise.mul_(weights).sum(dim=0).mul_(scale)

    def take(self, rows: NDArray[np.int64]) -> BrownianPath:
        """Return the paths of some of the samples."""
        seeds = self.seeds[torch.from_numpy(rows).to(self.seeds.device)]
        return BrownianPath(seeds, self.features, self.start[rows], self.end[rows], self.levels)

    @cached_property
    def _keys(self) -> Tensor:
        return stream_keys(self.seeds, self.features)

    def _expansion(self, ticks: NDArray[np.int64]) -> tuple[NDArray[np.int64], Times]:
        """Return which term of every level is not zero at the ticks, and its weight, ``(levels needed + 1, R)``."""
        together = int(np.bitwise_or.reduce(ticks))
        # Levels finer than every tick's last binary digit contribute nothing.
        trailing = (together & -together).bit_length() - 1 if together else self.levels
        level = np.arange(1, self.levels - trailing + 1)[:, None]
        width = self.levels - level + 1
        part = ticks >> width
        position = (ticks - (part << width)) * 2.0**-width
        hats = np.minimum(position, 1 - position) * 2.0 ** (-(level - 1) / 2)
        nodes = np.concatenate([np.zeros_like(ticks)[None], (1 << (level - 1)) + part])
        return nodes, np.concatenate([(ticks * 2.0**-self.levels)[None], hats])
