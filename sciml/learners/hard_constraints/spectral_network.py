"""A light Fourier network on grids of one to three axes."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from sciml.errors import ConfigurationError
from sciml.learners.mgno.v_cycle import CONVOLUTIONS

__all__ = ["SpectralConvolution", "SpectralNetwork"]


class SpectralConvolution(nn.Module):
    """Multiplication of the lowest Fourier modes by matrices over the channels; all other modes become zero.

    Parameters
    ----------
    channels
        In and out.
    modes
        Waves kept along each axis; a coarser grid has fewer, and uses those.

    Examples
    --------
    >>> SpectralConvolution(3, (2, 2))(torch.zeros(1, 3, 8, 5)).shape
    torch.Size([1, 3, 8, 5])
    """

    def __init__(self, channels: int, modes: tuple[int, ...]) -> None:
        super().__init__()
        self.modes = modes
        corners = 2 ** (len(modes) - 1)
        # Real and imaginary parts side by side: optimisers and processes handle real numbers best.
        self.weight = nn.Parameter(torch.randn(corners, channels, channels, *modes, 2) / channels)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(B, channels, *grid)`` to the same shape."""
        shape, axes = v.shape[2:], tuple(range(2, v.ndim))
        spectrum = torch.fft.rfftn(v, dim=axes)
        kept = [min(m, n // 2) for m, n in zip(self.modes, shape, strict=True)]
        weight = torch.view_as_complex(self.weight)
        result = torch.zeros_like(spectrum)
        for corner, signs in enumerate(product((False, True), repeat=len(shape) - 1)):
            where = [slice(-m, None) if low else slice(0, m) for m, low in zip(kept, (*signs, False), strict=True)]
            # The last weights of a corner of negative waves are those of the longest ones, as in the spectrum.
            matrices = weight[(corner, slice(None), slice(None), *where)]
            result[(..., *where)] = torch.einsum("bi...,io...->bo...", spectrum[(..., *where)], matrices)
        return torch.fft.irfftn(result, s=shape, dim=axes)


class SpectralNetwork(nn.Module):
    """Layers v ← v + gelu(spectral convolution + convolution by 3 points an axis) between pointwise maps.

    After Li et al. 2021; the local convolution in place of a pointwise one carries what the lowest modes cannot.

    Parameters
    ----------
    inputs, outputs
        Channels.
    dim
        Axes of the grid, 1 to 3.
    channels, layers
        Width and depth.
    modes
        Fourier modes along every axis; None: 16, 12, 6 for one, two, three axes.

    Raises
    ------
    ConfigurationError
        If a number is not positive.

    Examples
    --------
    >>> SpectralNetwork(4, 16, dim=2)(torch.zeros(2, 4, 51, 64)).shape
    torch.Size([2, 16, 51, 64])
    """

    def __init__(
        self, inputs: int, outputs: int, dim: int, channels: int = 24, layers: int = 4, modes: int | None = None
    ) -> None:
        super().__init__()
        modes = {1: 16, 2: 12, 3: 6}[dim] if modes is None else modes
        for name, value in (("channels", channels), ("layers", layers), ("modes", modes)):
            if value < 1:
                raise ConfigurationError(f"{name} = {value}: at least 1 is expected.")
        convolution = CONVOLUTIONS[dim]
        self.lift = convolution(inputs, channels, 1)
        self.spectral = nn.ModuleList(SpectralConvolution(channels, (modes,) * dim) for _ in range(layers))
        self.local = nn.ModuleList(convolution(channels, channels, 3, padding=1) for _ in range(layers))
        self.project = nn.Sequential(convolution(channels, 2 * channels, 1), nn.GELU())
        self.readout = convolution(2 * channels, outputs, 1)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(B, inputs, *grid)`` to ``(B, outputs, *grid)``."""
        v = self.lift(v)
        for spectral, local in zip(self.spectral, self.local, strict=True):
            v = v + functional.gelu(spectral(v) + local(v))
        answer: Tensor = self.readout(self.project(v))
        return answer
