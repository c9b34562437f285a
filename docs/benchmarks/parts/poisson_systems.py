"""Obstacles that no learner has seen, and right-hand sides, for solvers of the pressure equation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pde_benchmarks.pressure import FLUID, RandomCells, pressure_operator
from pde_benchmarks.pressure.right_hand_sides import noise, smooth
from solvers import DiffusionOperator

__all__ = ["PressureSystem", "empty_box", "systems", "worst_sides"]

#: Far from every seed that a training draws from.
SEED = 77_000


@dataclass(frozen=True)
class PressureSystem:
    """One matrix, and right-hand sides by kind, flat."""

    matrix: DiffusionOperator
    fluid: Tensor
    sides: dict[str, Tensor]


def systems(
    grid: tuple[int, ...], count: int, dtype: torch.dtype = torch.float64, seed: int = SEED
) -> list[PressureSystem]:
    """Random balls, boxes and rods with noise and with smooth right-hand sides."""
    generator = Generator().manual_seed(seed)
    cells, sides = RandomCells().sample(count, grid, generator)
    found = []
    for one, beyond in zip(cells, sides, strict=True):
        A = pressure_operator(one[None], beyond[None], dtype)
        A = A.replace(tuple(p[0] for p in A.parameters()))
        fluid = (one == FLUID)[None]
        laws = {"noise": noise(fluid, generator), "smooth": smooth(fluid, generator)}
        found.append(PressureSystem(A, fluid[0], {k: A.project(b[0].flatten().to(dtype)) for k, b in laws.items()}))
    return found


def empty_box(n: int) -> PressureSystem:
    """Fluid everywhere, closed but for its top."""
    generator = Generator().manual_seed(SEED)
    cells = torch.full((n,) * 3, FLUID)
    sides = [("solid", "solid"), ("solid", "open"), ("solid", "solid")]
    A = pressure_operator(cells, sides)
    fluid = (cells == FLUID)[None]
    laws = {"noise": noise(fluid, generator), "smooth": smooth(fluid, generator)}
    return PressureSystem(A, fluid[0], {k: b[0].flatten().to(A.dtype) for k, b in laws.items()})


def worst_sides(system: PressureSystem, generator: Generator) -> dict[str, Tensor]:
    """Right-hand sides that are hard in different ways: rough, local, alternating, constant."""
    fluid, dtype = system.fluid, system.matrix.dtype
    where = fluid.nonzero()
    delta = torch.zeros(fluid.shape, dtype=dtype)
    delta[tuple(where[int(torch.randint(len(where), (), generator=generator))])] = 1
    parity = torch.stack(torch.meshgrid(*map(torch.arange, fluid.shape), indexing="ij")).sum(0) % 2
    extremes = torch.where(parity == 0, 1.0, -1.0) + 1  # the roughest and the smoothest field at once
    kinds = {
        "delta": delta,
        "checkerboard": torch.where(parity == 0, 1.0, -1.0) * fluid,
        "constant": fluid.to(dtype),
        "both": extremes * fluid,
    }
    flat = {name: system.matrix.project(field.to(dtype).flatten()) for name, field in kinds.items()}
    return {**system.sides, **flat}
