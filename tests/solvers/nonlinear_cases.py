"""Nonlinear systems and fits that the tests share, each batched over leading axes."""

import torch
from solver_cases import normal
from torch import Tensor

DOUBLE = torch.float64


def double(*values: object) -> Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def coupled(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Three equations that are mildly nonlinear, unsymmetric, with one root near 0 for small a and b."""
    u, v, w = x.unbind(-1)
    return torch.stack(
        [3 * u + torch.sin(v * w) - a[..., 0], u**2 + 2 * v - w / 2 - a[..., 1] * b, torch.exp(w / 4) + w + u * v - b],
        -1,
    )


def coupled_parameters(*batch: int) -> tuple[Tensor, Tensor]:
    return normal(*batch, 2, seed=3), 1 + 0.1 * normal(*batch, 1, seed=4)[..., 0]


def rosenbrock(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[..., 1] - x[..., 0] ** 2), 1 - x[..., 0]], -1)


def powell(x: Tensor) -> Tensor:
    """Powell's singular function: J loses rank at the solution 0."""
    a, b, c, d = x.unbind(-1)
    return torch.stack([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2], -1)


TIMES = torch.linspace(0, 3, 25, dtype=DOUBLE)


def decay(x: Tensor, data: Tensor, times: Tensor = TIMES) -> Tensor:
    """x₀ e^(−x₁ t) + x₂ − data."""
    return x[..., :1] * torch.exp(-x[..., 1:2] * times) + x[..., 2:] - data


def decay_data(*batch: int, noise: float = 0.05) -> Tensor:
    """Of amplitudes 2 … 3, rates near 1 and an offset."""
    truth = double(2.0, 1.0, 0.5) + double(1.0, 0.3, 0.1) * torch.rand(
        *batch, 3, generator=torch.Generator().manual_seed(5), dtype=DOUBLE
    )
    return decay(truth, double(0.0)) + noise * normal(*batch, len(TIMES), seed=6)
