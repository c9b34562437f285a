"""The peak signal-to-noise ratio of images."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError

__all__ = ["psnr_db"]


def psnr_db(prediction: Tensor, truth: Tensor, peak: float = 1.0) -> Tensor:
    """10 log₁₀(peak² / mean squared error) of every sample, in decibels.

    Parameters
    ----------
    prediction, truth
        Shape ``(samples, channels, *grid)``.
    peak
        The range of the values: 1 for images in [0, 1].

    Returns
    -------
    Tensor
        float64, shape ``(samples,)``; ``inf`` where the prediction is exact.

    Raises
    ------
    ProblemError
        If the shapes differ, or the peak is not positive.

    Examples
    --------
    >>> truth = torch.zeros(2, 1, 8, 8)
    >>> psnr_db(truth + 0.1, truth).round(decimals=3)
    tensor([20., 20.], dtype=torch.float64)
    """
    if prediction.shape != truth.shape:
        raise ProblemError(f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape.")
    if not 0 < peak < float("inf"):
        raise ProblemError(f"peak {peak}: the range of the values, a positive number, is expected.")
    mean_square = (prediction.double() - truth.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(peak**2 / mean_square)
