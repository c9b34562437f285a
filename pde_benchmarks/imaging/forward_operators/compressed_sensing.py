"""Compressed sensing: few random, incoherent measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.constants import Constant
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator

__all__ = ["CompressedSensing"]


class CompressedSensing(LinearForwardOperator):
    """S C (σ · x): random signs, convolution with random numbers, and a random choice of the result (Romberg 2009).

    σ is ±1 for every pixel, C circulant on the flattened grid with eigenvalues of mean square 1, S a choice of m of
    its n rows. Costs two Fourier transforms, where a dense random matrix would cost m n operations.

    Parameters
    ----------
    input_shape
        (channels, *grid); every channel is measured alike.
    ratio
        m / n, in (0, 1].
    generator
        Of the signs, the convolution and the choice.

    Raises
    ------
    OperatorError
        If the ratio is out of range.

    Examples
    --------
    >>> sensing = CompressedSensing((1, 16, 16), 0.25, torch.Generator().manual_seed(0))
    >>> sensing.output_shape
    (1, 64)
    """

    def __init__(self, input_shape: Sequence[int], ratio: float, generator: Generator) -> None:
        if not 0 < ratio <= 1:
            raise OperatorError(f"{self.name}: ratio {ratio} of measurements to pixels: expected in (0, 1].")
        self._shape, self.ratio = tuple(input_shape), ratio
        n = math.prod(self._shape[1:])
        signs = torch.randint(0, 2, (n,), generator=generator).to(torch.float64) * 2 - 1
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        self._signs = Constant(signs)
        self._spectrum = Constant(torch.fft.rfft(noise, norm="ortho"))
        self._chosen = torch.randperm(n, generator=generator)[: max(1, round(ratio * n))].sort().values

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self._shape[0], len(self._chosen))

    def _apply(self, x: Tensor) -> Tensor:
        flat = x.flatten(2) * self._signs.like(x)
        mixed = torch.fft.irfft(torch.fft.rfft(flat) * self._spectrum.like(x), n=flat.shape[-1])
        return mixed[..., self._chosen.to(x.device)]

    def _adjoint(self, y: Tensor) -> Tensor:
        n = math.prod(self._shape[1:])
        full = torch.zeros(*y.shape[:2], n, dtype=y.dtype, device=y.device)
        full = full.index_copy(2, self._chosen.to(y.device), y)
        flat = torch.fft.irfft(torch.fft.rfft(full) * self._spectrum.like(y).conj(), n=n)
        return (flat * self._signs.like(y)).unflatten(2, self._shape[1:])
