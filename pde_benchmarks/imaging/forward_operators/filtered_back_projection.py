"""Filtered back-projection: the classical inverse of the Radon transform, good for many angles and little noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pde_benchmarks.imaging.forward_operators.radon import Radon
from pde_benchmarks.imaging.forward_operators.samples import require_samples

__all__ = ["filtered_back_projection"]


def filtered_back_projection(radon: Radon, sinogram: Tensor) -> Tensor:
    """An image from line integrals: every projection through a ramp filter, then back along its rays.

    The ramp is that of Ramachandran & Lakshminarayanan (1971), sampled in space so that the mean is right, under a Hann
    window.

    Parameters
    ----------
    radon
        The operator that made the data (not divided by its norm).
    sinogram
        Shape ``(batch, channels, angles, detectors)``.

    Returns
    -------
    Tensor
        Shape ``(batch, channels, size, size)``, differentiable (linear) in the data.

    Raises
    ------
    OperatorError
        If the data is not the operator's.

    Examples
    --------
    >>> from pde_benchmarks.imaging.forward_operators.parallel_beams import ParallelBeams
    >>> from pde_benchmarks.imaging.forward_operators.radon import SparseRadon
    >>> radon = SparseRadon(ParallelBeams(size=32, angles=60))
    >>> row, column = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    >>> disc = ((row - 15.5) ** 2 + (column - 15.5) ** 2 < 100).float()[None, None]
    >>> middle = filtered_back_projection(radon, radon.apply(disc))[0, 0, 14:18, 14:18].mean()
    >>> bool((middle - 1).abs() < 0.02)
    True
    """
    require_samples(sinogram, radon.output_shape, f"{radon.name}: the data")
    count = radon.beams.detectors
    length = 2 ** math.ceil(math.log2(2 * count))
    response = ramp_response(length).to(sinogram)
    filtered = torch.fft.irfft(torch.fft.rfft(sinogram, n=length) * response, n=length)[..., :count]
    return radon.adjoint(filtered) * (math.pi / radon.beams.angles)


def ramp_response(length: int) -> Tensor:
    """The filter's frequency response |f| times the Hann window, float64 ``(length // 2 + 1,)``.

    |f| is the transform of 1/4 at 0, −1/(πn)² at odd n and 0 at even n: unlike samples of |f| itself, it does not lose
    the mean of a projection that is padded with zeros.
    """
    n = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64)
    odd = n.remainder(2) == 1
    kernel = torch.where(odd, -1 / (math.pi * torch.where(odd, n, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    window = 0.5 + 0.5 * torch.cos(2 * math.pi * torch.fft.rfftfreq(length, dtype=torch.float64))
    return torch.fft.rfft(kernel).real * window
