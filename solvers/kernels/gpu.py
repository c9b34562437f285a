"""The GPU backend: Triton kernels, one launch an operation for the whole batch, and no atomic additions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from solvers.kernels.reference import Reference
from solvers.kernels.structures import Interpolation, Links, Taps
from solvers.kernels.triton_csr import csr_product
from solvers.kernels.triton_smoothing import colour_kernel, jacobi_kernel, residual_kernel
from solvers.kernels.triton_stencil import product_kernel
from solvers.kernels.triton_taps import launch_on_grid
from solvers.kernels.triton_transfers import prolong_along, restrict_along

__all__ = ["GPU"]


class GPU(Reference):
    """`Reference` says what each function means. The same call gives the same bits on every run."""

    def stencil(self, taps: Taps, data: Tensor, x: Tensor) -> Tensor:
        return launch_on_grid(product_kernel, taps, data, _new(x), _dense(x))

    def multiplies(self, matrices: int) -> bool:
        return True

    def csr_product(self, crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
        return csr_product(crow.contiguous(), col.contiguous(), _dense(values), _dense(x))

    def apply(self, links: Links, u: Tensor) -> Tensor:
        return self.stencil(_taps(links)[0], links.data, u)

    def residual(self, links: Links, b: Tensor, u: Tensor) -> Tensor:
        return launch_on_grid(residual_kernel, _taps(links)[0], links.data, _new(u), _dense(b), _dense(u))

    def jacobi(self, links: Links, b: Tensor, u: Tensor, omega: float) -> Tensor:
        fields, inverse = (_new(u), _dense(b), _dense(u)), _inverse(links)
        return launch_on_grid(jacobi_kernel, _taps(links)[0], links.data, *fields, OMEGA=float(omega), INVERSE=inverse)

    def red_black(self, links: Links, b: Tensor, u: Tensor, reverse: bool = False) -> Tensor:
        b, u, neighbours, inverse = _dense(b), _dense(u), _taps(links)[1], _inverse(links)
        for colour in (1, 0) if reverse else (0, 1):
            u = launch_on_grid(colour_kernel, neighbours, links.data, _new(u), b, u, COLOUR=colour, INVERSE=inverse)
        return u

    def prolong(self, steps: Sequence[Interpolation], coarse: Tensor) -> Tensor:
        coarse = _dense(coarse)
        for step in reversed(steps):
            coarse = prolong_along(step, coarse)
        return coarse

    def restrict(self, steps: Sequence[Interpolation], fine: Tensor) -> Tensor:
        fine = _dense(fine)
        for step in steps:
            fine = restrict_along(step, fine)
        return fine


def _taps(links: Links) -> tuple[Taps, Taps]:
    return _taps_along(len(links.grid))


@cache
def _taps_along(d: int) -> tuple[Taps, Taps]:
    """The operator of links in d dimensions, and what of it lies off the diagonal."""
    taps = Taps.of_links(d)
    return taps, Taps(taps.shift[1:], taps.part[1:], taps.sign[1:], taps.moved[1:], taps.periodic)


def _inverse(links: Links) -> int:
    """Which part of the data is the inverse diagonal."""
    return links.data.shape[1] - 1


def _new(like: Tensor) -> Tensor:
    return torch.empty_like(like, memory_format=torch.contiguous_format)


def _dense(tensor: Tensor) -> Tensor:
    """As a kernel reads it: detached, in order, and without a sign that torch has put off."""
    return tensor.detach().contiguous().resolve_neg()
