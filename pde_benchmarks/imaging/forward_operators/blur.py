"""Blur: convolution with a small kernel, around periodic axes or between reflecting walls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pde_benchmarks.imaging.errors import OperatorError
from pde_benchmarks.imaging.forward_operators.constants import Constant
from pde_benchmarks.imaging.forward_operators.cosine import CosineMultiplier
from pde_benchmarks.imaging.forward_operators.operator import LinearForwardOperator

__all__ = ["CircularBlur", "ReflectingBlur", "gaussian_kernel"]


class CircularBlur(LinearForwardOperator):
    """Convolution with a kernel on a grid that is periodic along every axis, by the fast Fourier transform.

    Parameters
    ----------
    input_shape
        (channels, *grid); every channel is blurred alike.
    kernel
        Weights with odd sides no longer than the grid's, centred, as of `gaussian_kernel`.

    Raises
    ------
    OperatorError
        If the kernel does not fit the grid.

    Examples
    --------
    >>> blur = CircularBlur((1, 16, 16), gaussian_kernel(1.0, 2))
    >>> blur.apply(torch.ones(1, 1, 16, 16)).mean().round(decimals=4), round(blur.norm(), 6)
    (tensor(1.), 1.0)
    """

    def __init__(self, input_shape: Sequence[int], kernel: Tensor) -> None:
        self._shape = tuple(input_shape)
        _require_kernel(self.name, kernel, self._shape[1:])
        self._axes = tuple(range(-kernel.ndim, 0))
        padded = torch.zeros(self._shape[1:], dtype=torch.float64)
        padded[tuple(slice(0, n) for n in kernel.shape)] = kernel.to(torch.float64)
        centred = padded.roll([-(n // 2) for n in kernel.shape], self._axes)
        self._spectrum = Constant(torch.fft.rfftn(centred, dim=self._axes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._shape

    def norm(self) -> float:
        """The largest modulus of the kernel's Fourier coefficients, exactly."""
        return float(self._spectrum.values.abs().max())

    def _apply(self, x: Tensor) -> Tensor:
        return self._multiplied(x, self._spectrum.like(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._multiplied(y, self._spectrum.like(y).conj())

    def _multiplied(self, x: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.irfftn(torch.fft.rfftn(x, dim=self._axes) * spectrum, s=x.shape[2:], dim=self._axes)


class ReflectingBlur(CosineMultiplier):
    """Convolution with a kernel that is even along every axis, the grid mirrored at its sides; self-adjoint.

    Parameters
    ----------
    input_shape
        (channels, *grid); every channel is blurred alike.
    kernel
        Weights with odd sides no longer than the grid's, each equal to its mirror images.

    Raises
    ------
    OperatorError
        If the kernel does not fit the grid, or is not even.

    Examples
    --------
    >>> blur = ReflectingBlur((1, 16), gaussian_kernel(1.0, 1))
    >>> blur.apply(torch.ones(1, 1, 16)).std().round(decimals=4), round(blur.norm(), 6)
    (tensor(0.), 1.0)
    """

    def __init__(self, input_shape: Sequence[int], kernel: Tensor) -> None:
        grid = tuple(input_shape)[1:]
        _require_kernel(self.name, kernel, grid)
        kernel = kernel.to(torch.float64)
        for axis in range(kernel.ndim):
            if not torch.allclose(kernel, kernel.flip(axis), rtol=1e-12, atol=0):
                raise OperatorError(f"{self.name}: the kernel is not even along axis {axis}: use CircularBlur.")
        multipliers = kernel
        for n, side in zip(grid, kernel.shape, strict=True):
            shifts = torch.arange(side, dtype=torch.float64) - side // 2
            cosines = torch.cos(math.pi * torch.arange(n, dtype=torch.float64)[:, None] * shifts / n)
            # The first axis is consumed and comes back as the last: after all of them, they are in order again.
            multipliers = torch.tensordot(multipliers, cosines, dims=([0], [1]))
        super().__init__(input_shape, multipliers)


def gaussian_kernel(width: float, dim: int, side: int | None = None) -> Tensor:
    """Samples of a Gaussian of standard deviation ``width`` (in pixels), with sum 1.

    Parameters
    ----------
    width
        Positive.
    dim
        Number of axes.
    side
        Odd number of samples an axis; None for max(5, ⌊3 width⌋), made odd.

    Returns
    -------
    Tensor
        float64, shape ``(side,) * dim``.

    Raises
    ------
    OperatorError
        If the width is not positive, or the side is even.

    Examples
    --------
    >>> gaussian_kernel(1.0, 1).round(decimals=3).tolist()
    [0.054, 0.244, 0.403, 0.244, 0.054]
    """
    if not 0 < width < math.inf:
        raise OperatorError(f"width {width} of a Gaussian kernel: a positive number of pixels is expected.")
    chosen = max(5, int(3 * width)) | 1 if side is None else side
    if chosen < 1 or not chosen % 2:
        raise OperatorError(f"side {chosen} of a Gaussian kernel: an odd number is expected, so that it has a centre.")
    line = torch.exp(-(((torch.arange(chosen, dtype=torch.float64) - chosen // 2) / width) ** 2) / 2)
    line = line / line.sum()
    kernel = line
    for _ in range(dim - 1):
        kernel = kernel[..., None] * line
    return kernel


def _require_kernel(name: str, kernel: Tensor, grid: tuple[int, ...]) -> None:
    fits = kernel.ndim == len(grid) and all(k % 2 and k <= n for k, n in zip(kernel.shape, grid, strict=True))
    if not grid or not fits or not bool(kernel.isfinite().all()):
        raise OperatorError(
            f"{name}: kernel {tuple(kernel.shape)} on a grid {grid}: finite weights with an odd side along every axis, "
            "none longer than the grid's, are expected."
        )
