"""The discrete solution: one implicit Euler step a frame, which the residual of the problem asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import Column

__all__ = ["implicit_euler"]


@torch.no_grad()
def implicit_euler(column: Column) -> Tensor:
    """m(u_n) − Δτ S (∂xx u_n)_h = m(u_{n−1}) from frame to frame: ``(B, frames, n)``, the start included; order 1.

    Examples
    --------
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=3)
    >>> column = problem.column(problem.sample(2, torch.Generator().manual_seed(0)))
    >>> implicit_euler(column).shape
    torch.Size([2, 3, 8])
    """
    u, weight = column.initial, column.interval * column.rate
    frames = [u]
    for inflow in column.inflow[:, 1:].unbind(1):
        u = column.stage(column.law.stored(u) + weight * inflow, weight, u)
        frames.append(u)
    return torch.stack(frames, 1)
