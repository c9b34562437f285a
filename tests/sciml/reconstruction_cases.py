"""Priors that need no training, for reconstructions: Gaussian fields, of which everything is known."""

from __future__ import annotations

from pathlib import Path

import torch

from pde_benchmarks.imaging import Denoising
from pde_benchmarks.imaging.forward_operators import HeatSource
from sciml.plug_and_play import QuadraticNetwork
from sciml.reconstructions import TrainedPrior

N = 16


def smoother(n: int, strength: float = 0.4) -> torch.Tensor:
    """(I + strength · second differences)⁻¹ with free ends: the proximal operator of ½ strength ‖∇x‖²."""
    jumps = torch.eye(n, dtype=torch.float64).diff(dim=0)
    return torch.linalg.inv(torch.eye(n, dtype=torch.float64) + strength * jumps.mT @ jumps)


def prior_of_signals(run: Path = Path("toy"), n: int = N) -> TrainedPrior:
    return TrainedPrior(QuadraticNetwork(smoother(n)), Denoising("signals", resolution=n, noise=0.1), run)


def prior_of_images(law: str = "ellipses", n: int = 8) -> TrainedPrior:
    kron = torch.kron(smoother(n), smoother(n))
    return TrainedPrior(QuadraticNetwork(kron), Denoising(law, resolution=n, noise=0.1), Path("toy"))


def heat() -> HeatSource:
    return HeatSource((1, N), 1e-3)
