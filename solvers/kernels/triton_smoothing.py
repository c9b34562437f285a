"""Residuals and smoothing sweeps of a batch of `Links`, each a single pass over the data."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from solvers.kernels.triton_points import coordinates, this_block
from solvers.kernels.triton_taps import coefficient, weighted_sum

__all__ = ["colour_kernel", "jacobi_kernel", "residual_kernel"]


@triton.jit
def residual_kernel(
    r: tl.tensor,
    b: tl.tensor,
    u: tl.tensor,
    links: tl.tuple,
    points: tl.tensor,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """r = b − A u."""
    sample, k, inside = this_block(points, BLOCK, WIDE)
    start = sample * points
    product = weighted_sum(u + start, links, sample, k, inside, TAPS)
    tl.store(r + start + k, tl.load(b + start + k, mask=inside) - product, mask=inside)


@triton.jit
def jacobi_kernel(
    new: tl.tensor,
    b: tl.tensor,
    u: tl.tensor,
    links: tl.tuple,
    points: tl.tensor,
    OMEGA: tl.constexpr,
    INVERSE: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """new = u + ω D⁻¹ (b − A u), with D⁻¹ the part INVERSE of the links.

    ω is compiled in, because Triton rounds the arguments of a kernel to single precision.
    """
    sample, k, inside = this_block(points, BLOCK, WIDE)
    start = sample * points
    residual = tl.load(b + start + k, mask=inside) - weighted_sum(u + start, links, sample, k, inside, TAPS)
    i0, i1, i2 = coordinates(k, links[3])
    step = OMEGA * coefficient(links, sample, i0, i1, i2, inside, INVERSE) * residual
    tl.store(new + start + k, tl.load(u + start + k, mask=inside) + step, mask=inside)


@triton.jit
def colour_kernel(
    new: tl.tensor,
    b: tl.tensor,
    u: tl.tensor,
    links: tl.tuple,
    points: tl.tensor,
    COLOUR: tl.constexpr,
    INVERSE: tl.constexpr,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """new = D⁻¹ (b − what the neighbours add to A u) where the index sum has the parity COLOUR, and u elsewhere.

    `new` is another field than u: around a periodic axis of odd length, neighbours have the same colour.
    """
    sample, k, inside = this_block(points, BLOCK, WIDE)
    start = sample * points
    i0, i1, i2 = coordinates(k, links[3])
    relaxed = inside & ((i0 + i1 + i2) % 2 == COLOUR)
    rest = tl.load(b + start + k, mask=relaxed) - weighted_sum(u + start, links, sample, k, relaxed, TAPS)
    value = rest * coefficient(links, sample, i0, i1, i2, relaxed, INVERSE)
    old = tl.load(u + start + k, mask=inside)
    tl.store(new + start + k, tl.where(relaxed, value, old), mask=inside)
