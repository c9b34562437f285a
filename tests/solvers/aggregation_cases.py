"""Masks and coefficients for the tests of multigrid over blocks of cells."""

from collections.abc import Sequence

import torch
from solver_cases import generator
from torch import Tensor

from solvers import CellGraph, DiffusionOperator, LevelCoefficients


def around(
    fluid: Tensor, held: Tensor | None = None, dtype: torch.dtype = torch.float64, batch: int = 0
) -> DiffusionOperator:
    """Links 1 between fluid cells, mass `held` in them; the first `batch` axes of `fluid` are those of a batch."""
    fluid = fluid.to(dtype)
    faces = []
    for axis in range(batch, fluid.ndim):
        n = fluid.shape[axis]
        outside = torch.zeros_like(fluid.narrow(axis, 0, 1))
        inner = fluid.narrow(axis, 0, n - 1) * fluid.narrow(axis, 1, n - 1)
        faces.append(torch.cat([outside, inner, outside], axis))
    return DiffusionOperator(faces, None if held is None else held.to(dtype) * fluid)


def balls(grid: Sequence[int], count: int, seed: int = 0) -> Tensor:
    """True outside of random balls in the unit box, ``grid``."""
    g, d = generator(seed), len(grid)
    axes = [(torch.arange(n) + 0.5) / n for n in grid]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    fluid = torch.ones(tuple(grid), dtype=torch.bool)
    for _ in range(count):
        centre, radius = torch.rand(d, generator=g), 0.05 + 0.17 * torch.rand((), generator=g)
        fluid &= (points - centre).norm(dim=-1) > radius
    return fluid


def on_top(fluid: Tensor) -> Tensor:
    """Mass one in the fluid cells of the last layer of the first grid axis of an unbatched mask."""
    held = torch.zeros(fluid.shape)
    held[-1] = 1
    return held


class RandomFields:
    """A rule that draws every coefficient of every cell, over the whole range in which it is useful."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        self.seed, self.dtype = seed, dtype

    def __call__(self, level: int, fine: CellGraph, coarse: CellGraph) -> LevelCoefficients:
        g = generator(100 * self.seed + level)

        def between(low: float, high: float, like: Tensor) -> Tensor:
            return low + (high - low) * torch.rand(like.shape, generator=g, dtype=self.dtype)

        omega = (between(0.05, 1.95, fine.mass) for _ in range(2))
        sides = between(0.1, 1.9, fine.mass), between(0.1, 1.9, coarse.mass)
        return LevelCoefficients(*omega, *sides, between(0.6, 1.65, coarse.links), between(0.5, 2.0, coarse.mass))
