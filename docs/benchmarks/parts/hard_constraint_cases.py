"""What the constraint layer is timed on: basis functions, an offset and the residual of diffusion and sorption."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption import DiffusionSorption
from pde_benchmarks.termwise import TermwiseResidual

__all__ = ["LayerCase", "sorption"]

WIDTH = 0.25


@dataclass(frozen=True)
class LayerCase:
    """A layer's input; the loss is ⟨functional, field⟩, which is not the layer's own objective.

    Attributes
    ----------
    residual
        Of a batch of inputs.
    basis, offset, functional
        ``(B, N, *shape)``, ``(B, *shape)`` and ``(B, *shape)``, float64.
    """

    residual: TermwiseResidual
    basis: Tensor
    offset: Tensor
    functional: Tensor


def sorption(samples: int, functions: int, cells: int, frames: int) -> LayerCase:
    """The closed forms of the problem, then Gaussian bumps, up to the number of functions."""
    problem = DiffusionSorption(resolution=cells, frames=frames)
    inputs = problem.sample(samples, torch.Generator().manual_seed(0))
    known = torch.stack(list(problem.closed_forms(inputs).values()), 1)
    generator = torch.Generator().manual_seed(1)
    centres = torch.rand(functions, 2, 1, 1, generator=generator, dtype=torch.float64)
    t, x = torch.linspace(0, 1, frames, dtype=torch.float64), torch.linspace(0, 1, cells, dtype=torch.float64)
    bumps = torch.exp(-((t[:, None] - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / (2 * WIDTH**2))
    basis = torch.cat([known, bumps.expand(samples, -1, -1, -1)], 1)[:, :functions]
    functional = torch.randn(samples, frames, cells, generator=generator, dtype=torch.float64)
    return LayerCase(
        problem.termwise(inputs),
        (basis * problem.envelope(inputs).unsqueeze(1)).contiguous(),
        problem.offset(inputs).contiguous(),
        functional,
    )
