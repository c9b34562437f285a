"""The reference solution: many cells, and graded steps of third order between the frames."""

from __future__ import annotations

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import Column

__all__ = ["method_of_lines"]

# Alexander's (1977) L-stable, stiffly accurate method of order 3 with three implicit stages: γ³ − 3γ² + 3γ/2 = 1/6.
GAMMA = 0.43586652150845900
HALF = (1 + GAMMA) / 2
WEIGHT_1 = -(6 * GAMMA**2 - 16 * GAMMA + 1) / 4
WEIGHT_2 = (6 * GAMMA**2 - 20 * GAMMA + 5) / 4
STAGES = ((), (HALF - GAMMA,), (WEIGHT_1, WEIGHT_2))
# After a jump of the boundary value the solution moves like √t: t = s³ spreads that evenly over the steps.
GRADING = 3


@torch.no_grad()
def method_of_lines(column: Column, steps: int) -> Tensor:
    """u at the frames with so many steps between two of them: ``(B, frames, n)``, the start included.

    The steps of a frame are graded towards its begin, where the boundary value may jump; they conserve the solute.

    Examples
    --------
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=3)
    >>> column = problem.column(problem.sample(2, torch.Generator().manual_seed(0)))
    >>> method_of_lines(column, steps=2).shape
    torch.Size([2, 3, 8])
    """
    ends = column.interval * (torch.arange(steps + 1, dtype=torch.float64) / steps) ** GRADING
    lengths = ends.diff().tolist()
    u, frames = column.initial, [column.initial]
    for inflow in column.inflow[:, 1:].unbind(1):
        for length in lengths:
            u = _step(column, u, inflow, length)
        frames.append(u)
    return torch.stack(frames, 1)


def _step(column: Column, u: Tensor, inflow: Tensor, length: float) -> Tensor:
    start, rates = column.law.stored(u), list[Tensor]()
    weight = GAMMA * length * column.rate
    for weights in STAGES:
        known = start
        for share, rate in zip(weights, rates, strict=True):
            known = known + length * share * rate
        u = column.stage(known + weight * inflow, weight, u)
        rates.append((column.law.stored(u) - known) / (GAMMA * length))
    return u
