"""Normal numbers as a pure function of a key and a counter: no state, so any of them can be had at any time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["independent_seeds", "normals", "stream_keys"]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


# SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): increment and the two factors of its mixing function. Products of
# int64 wrap around, which is what it wants.
_INCREMENT = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def stream_keys(seeds: Tensor, streams: int) -> Tensor:
    """Return the keys of independent streams for every seed, ``(B, streams)`` int64."""
    numbers = torch.arange(1, streams + 1, device=seeds.device)
    return _mixed(_mixed(seeds + _INCREMENT)[:, None] + _INCREMENT * numbers)


def independent_seeds(seed: int, count: int, device: torch.device | None = None) -> Tensor:
    """Return seeds of independent samples, ``(count,)`` int64; the first of them do not depend on the count.

    Examples
    --------
    >>> bool((independent_seeds(0, 3) == independent_seeds(0, 5)[:3]).all())
    True
    """
    return stream_keys(torch.tensor([_signed(seed % (1 << 64))], device=device), count)[0]


def normals(keys: Tensor, counters: Tensor) -> Tensor:
    """Return standard normal numbers, float64, one for every pair of the (broadcast) keys and counters."""
    bits = _mixed(keys + _INCREMENT * counters)
    # The upper 53 bits as the middle of one of 2⁵³ equal parts of (−1, 1): never the ends, symmetric, exact.
    uniform = bits.bitwise_right_shift_(11).double().add_(0.5).mul_(2.0**-52)
    return uniform.erfinv_().mul_(math.sqrt(2.0))


def _mixed(x: Tensor) -> Tensor:
    # In place: on long arrays the memory of intermediate results costs more than the arithmetic.
    x = _folded(x, 30).mul_(_FIRST)
    x = _folded(x, 27).mul_(_SECOND)
    return _folded(x, 31)


def _folded(x: Tensor, bits: int) -> Tensor:
    # int64 keeps its sign when shifted; SplitMix64 shifts zeros in.
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1).bitwise_xor_(x)
