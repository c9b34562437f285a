"""Small regressions, and the one process of textbooks to compare with."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciml.learners.mmgp.gaussian_processes import GaussianProcessConfig, fit_gaussian_processes

CONFIG = GaussianProcessConfig(restarts=3, rounds=(10,), max_iterations=60)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_data(n: int = 30, d: int = 3, m: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs ``(n, d)`` and noisy sums of hyperbolic tangents ``(n, m)``, with units of their own."""
    draw = torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    weights = torch.randn(d, 4 * m, generator=seeded(seed + 1), dtype=torch.float64)
    noise = 0.1 * torch.randn(n, m, generator=seeded(seed + 2), dtype=torch.float64)
    values = torch.tanh(draw @ weights).view(n, 4, m).sum(1) + noise
    return 3 * draw + 5, 40 * values - 7


def fitted(n: int = 30, d: int = 3, m: int = 4, seed: int = 0):
    return fit_gaussian_processes(*smooth_data(n, d, m, seed), CONFIG, seeded())


def covariance(x: Tensor, z: Tensor, length_scales: Tensor, signal: Tensor) -> Tensor:
    """The Matérn-5/2 covariance, as one writes it down."""
    square = ((x[:, None] - z[None]) / length_scales).square().sum(-1)
    a = torch.where(square > 0, 5 * square, 1).sqrt() * (square > 0)
    return signal * (1 + a + a * a / 3) * torch.exp(-a)


def negative_log_likelihood(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """−log N(y; 0, K + sn² I) of a vector y, with the jitter that the search adds."""
    length_scales, signal, noise = theta[:-2].exp(), theta[-2].exp(), theta[-1].exp()
    matrix = covariance(x, x, length_scales, signal) + (noise + 1e-9) * torch.eye(len(x), dtype=x.dtype)
    return (y @ torch.linalg.solve(matrix, y) + torch.logdet(matrix) + len(x) * math.log(2 * math.pi)) / 2
