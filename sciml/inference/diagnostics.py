"""Whether Markov chains have mixed: rank-normalised split R-hat and bulk effective sample size, for a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["bulk_ess", "split_r_hat"]


def split_r_hat(samples: Tensor) -> Tensor:
    """Rank-normalised split R-hat (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021).

    The larger of the R-hat of location and that of spread (the draws folded about their median). Chains that stand
    still have an infinite one.

    Parameters
    ----------
    samples
        ``(B, chains, draws, d)`` with at least four draws.

    Returns
    -------
    Tensor
        ``(B, d)``, float64.

    Examples
    --------
    >>> x = torch.randn(1, 4, 500, 2, generator=torch.Generator().manual_seed(0))
    >>> bool((split_r_hat(x) < 1.01).all()), bool((split_r_hat(x + torch.arange(4.0)[:, None, None]) > 1.5).all())
    (True, True)
    """
    halves = _split(samples)
    median = halves.flatten(2).median(-1).values[..., None, None]
    folded = (halves - median).abs()
    return torch.maximum(_r_hat(_rank_normalised(halves)), _r_hat(_rank_normalised(folded)))


def bulk_ess(samples: Tensor) -> Tensor:
    """Bulk effective sample size: how many independent draws would know the posterior's centre as well.

    Autocorrelations of all split chains together, summed over Geyer's (1992) initial monotone sequence (Vehtari et al.
    2021, section 3.2). Zero where chains stand still.

    Parameters
    ----------
    samples
        ``(B, chains, draws, d)`` with at least four draws.

    Returns
    -------
    Tensor
        ``(B, d)``, float64.

    Examples
    --------
    >>> x = torch.randn(1, 4, 500, 1, generator=torch.Generator().manual_seed(0))
    >>> 1500 < bulk_ess(x).item() < 2500
    True
    """
    x = _rank_normalised(_split(samples))  # (B, d, chains, draws)
    chains, draws = x.shape[-2:]
    covariance = _autocovariance(x)
    within = covariance[..., 0].mean(-1) * draws / (draws - 1)
    variance = within * (draws - 1) / draws + (x.mean(-1).var(-1) if chains > 1 else 0)
    rho = 1 - (within[..., None] - covariance.mean(-2) * draws / (draws - 1)) / variance[..., None]
    rho[..., 0] = 1
    pairs = rho[..., : draws // 2 * 2].unflatten(-1, (-1, 2)).sum(-1)
    # Sums of neighbouring lags of a reversible chain are positive and fall: what is not is noise.
    positive = (pairs > 0).cummin(-1).values
    time = -1 + 2 * (pairs.cummin(-1).values * positive).sum(-1)
    total = chains * draws
    ess = total / time.clamp_min(1 / math.log10(total))
    return torch.where((within > 0) & ess.isfinite(), ess, 0)


def _split(samples: Tensor) -> Tensor:
    """``(B, d, 2 chains, draws // 2)``; a middle draw is dropped."""
    half = samples.shape[2] // 2
    both = torch.cat([samples[:, :, :half], samples[:, :, -half:]], dim=1)
    return both.double().permute(0, 3, 1, 2)


def _rank_normalised(x: Tensor) -> Tensor:
    """Normal scores of the ranks over all chains; draws that repeat share the mean of their ranks."""
    flat = x.flatten(2).contiguous()
    ordered = flat.sort(-1).values
    below = torch.searchsorted(ordered, flat)
    up_to = torch.searchsorted(ordered, flat, right=True)
    rank = (below + up_to + 1) / 2
    scores = torch.special.ndtri((rank.double() - 3 / 8) / (flat.shape[-1] + 1 / 4))
    return scores.unflatten(-1, x.shape[2:])


def _r_hat(x: Tensor) -> Tensor:
    draws = x.shape[-1]
    within = x.var(-1).mean(-1)
    between = x.mean(-1).var(-1)
    ratio = ((draws - 1) / draws + between / within).sqrt()
    return ratio.nan_to_num(nan=torch.inf)


def _autocovariance(x: Tensor) -> Tensor:
    """Biased autocovariances along the last axis, by fast Fourier transform."""
    draws = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(centred, 2 * draws)
    return torch.fft.irfft(spectrum.abs().square(), 2 * draws)[..., :draws] / draws
