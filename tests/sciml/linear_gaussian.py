"""The linear Gaussian model of the tests of inference, and its posterior in closed form."""

from __future__ import annotations

import torch

from sciml.inference import Observation, Posterior


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_model(observations=3, d=3, n=4, noise=0.5, **options):
    """u = B z + c with random B, c, and values drawn from the model."""
    g = seeded(7)
    B, c = torch.randn(n, d, generator=g).double(), torch.randn(n, generator=g).double()
    truth = torch.randn(observations, d, generator=g).double()
    values = truth @ B.T + c + noise * torch.randn(observations, n, generator=g).double()
    observation = Observation(torch.rand(n, 2), values, noise, options.pop("mask", None))
    return Posterior(lambda z: z @ B.T + c, observation, d, **options), B, c, truth


def closed_form(B, c, values, Sigma):
    """N(m, C) with C⁻¹ = I + Bᵀ Σ⁻¹ B and m = C Bᵀ Σ⁻¹ (y − c)."""
    gain = B.T @ torch.linalg.inv(Sigma)
    C = torch.linalg.inv(torch.eye(B.shape[1]).double() + gain @ B)
    return (values - c) @ gain.T @ C.T, C
