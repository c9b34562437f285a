"""Solid, fluid and open cells of a box, and the matrix of the pressure in stencil units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from solvers import DiffusionOperator

__all__ = ["FLUID", "OPEN", "SOLID", "Side", "Sides", "checked_cells", "open_sides", "pressure_operator", "sides_of"]

SOLID, FLUID, OPEN = 0, 1, 2

Side = Literal["solid", "open"]
Sides = Side | Sequence[Side | tuple[Side, Side]]


def pressure_operator(
    cells: Tensor, sides: Sides | Tensor = "solid", dtype: torch.dtype = torch.float64
) -> DiffusionOperator:
    """A with A_ii the number of faces of fluid cell i that no solid closes, and −1 for every fluid neighbour.

    That is −h² Δ with no flux through solid faces and p = 0 in open cells; rows of cells that are not fluid are zero.
    Fluid that no open cell or side touches has the constants as its kernel, and the right-hand side must sum to zero
    there.

    Parameters
    ----------
    cells
        `SOLID`, `FLUID` or `OPEN`, any integer type, ``(*batch, *grid)``; the number of grid axes is that of `sides` if
        it is a sequence, else all axes but none is a batch axis.
    sides
        What lies beyond the box: "solid" or "open", one for all, or for every axis one or a (low, high) pair; or, where
        it differs from sample to sample, a boolean tensor ``(*batch, d, 2)`` that is true for open sides.
    dtype
        float32 or float64.

    Raises
    ------
    ProblemError
        Other numbers than 0, 1 and 2, no fluid, or sides that do not fit.

    Examples
    --------
    >>> import torch
    >>> A = pressure_operator(torch.tensor([0, 1, 1, 2]))
    >>> A.to_dense()[1:3, 1:3]
    tensor([[ 1., -1.],
            [-1.,  2.]], dtype=torch.float64)
    """
    is_open = open_sides(cells, sides)
    d = is_open.shape[-2]
    fluid, open_cells = (cells == FLUID).to(dtype), (cells == OPEN).to(dtype)
    faces, to_open = [], torch.zeros_like(fluid)
    for k in range(d):
        axis, n = k - d, cells.shape[k - d]
        before, after = fluid.narrow(axis, 0, n - 1), fluid.narrow(axis, 1, n - 1)
        low, high = (side.reshape(*side.shape, *[1] * d) for side in is_open[..., k, :].unbind(-1))
        first, last = fluid.narrow(axis, 0, 1) * low, fluid.narrow(axis, n - 1, 1) * high
        faces.append(torch.cat([first, before * after, last], axis))
        to_open.narrow(axis, 0, n - 1).add_(before * open_cells.narrow(axis, 1, n - 1))
        to_open.narrow(axis, 1, n - 1).add_(after * open_cells.narrow(axis, 0, n - 1))
    return DiffusionOperator(faces, to_open)


def open_sides(cells: Tensor, sides: Sides | Tensor) -> Tensor:
    """Which sides are open, ``(*batch, d, 2)`` or ``(d, 2)`` if all samples agree; raises if cells or sides are wrong.

    Examples
    --------
    >>> import torch
    >>> open_sides(torch.ones(4, 4, dtype=torch.int8), ["solid", ("solid", "open")])
    tensor([[False, False],
            [False,  True]])
    """
    if isinstance(sides, Tensor):
        d = sides.shape[-2] if sides.ndim >= 2 else 0
        if (
            sides.dtype != torch.bool
            or sides.shape[-1] != 2
            or sides.shape[:-2] not in ((), cells.shape[: max(cells.ndim - d, 0)])
        ):
            raise ProblemError(
                f"sides {tuple(sides.shape)} of {sides.dtype} for cells {tuple(cells.shape)}: booleans of shape "
                "(*batch, d, 2), true where open, are expected."
            )
        checked_cells(cells, d)
        return sides.to(cells.device)
    d = cells.ndim if isinstance(sides, str) else len(sides)
    checked_cells(cells, d)
    pairs = [[side == "open" for side in pair] for pair in sides_of(sides, d)]
    return torch.tensor(pairs, device=cells.device)


def sides_of(sides: Sides, d: int) -> list[tuple[Side, Side]]:
    """The (low, high) pair of every axis."""
    given = [sides] * d if isinstance(sides, str) else list(sides)
    pairs = [(side, side) if isinstance(side, str) else (side[0], side[1]) for side in given]
    if len(pairs) != d or any(side not in ("solid", "open") for pair in pairs for side in pair):
        raise ProblemError(f'sides {sides!r}: "solid" or "open" for each of {d} axes, or (low, high), is expected.')
    return pairs


def checked_cells(cells: Tensor, d: int) -> None:
    """Raise unless every sample has 1 to 3 axes of `SOLID`, `FLUID` and `OPEN`, and fluid among them."""
    if not 1 <= d <= 3 or cells.ndim < d:
        raise ProblemError(f"cells {tuple(cells.shape)}: (*batch, *grid) with 1 to 3 grid axes is expected.")
    if cells.is_floating_point() or cells.is_complex() or cells.dtype == torch.bool:
        raise ProblemError(f"cells of {cells.dtype}: integers 0 (solid), 1 (fluid) and 2 (open) are expected.")
    wrong = (cells < SOLID) | (cells > OPEN)
    if wrong.any():
        raise ProblemError(
            f"cells with the value {int(cells[wrong][0])}: 0 (solid), 1 (fluid) or 2 (open) is expected."
        )
    empty = ~(cells == FLUID).flatten(-d).any(-1)
    if empty.any():
        sample = f" of sample {int(empty.nonzero()[0, -1])}" if empty.ndim else ""
        raise ProblemError(f"cells{sample} without fluid: mark at least one cell with 1.")
