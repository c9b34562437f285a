"""The product with a batch of stencils, compiled for their taps."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from solvers.kernels.triton_points import this_block
from solvers.kernels.triton_taps import weighted_sum

__all__ = ["product_kernel"]


@triton.jit
def product_kernel(
    y: tl.tensor,
    x: tl.tensor,
    stencil: tl.tuple,
    points: tl.tensor,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """y = A x."""
    sample, k, inside = this_block(points, BLOCK, WIDE)
    start = sample * points
    product = weighted_sum(x + start, stencil, sample, k, inside, TAPS)
    tl.store(y + start + k, product, mask=inside)
