"""Residuals carried through implicit time steps: from rows to the error to first order."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pde_benchmarks.diffusion_sorption.column import Column

__all__ = ["carrier"]


def carrier(column: Column, retardation: Tensor, sizes: Tensor) -> Callable[[Tensor], Tensor]:
    """r ↦ e with e₀ = r₀ and (R_n/Δτ − S ∂xx) e_n = R_{n−1} e_{n−1}/Δτ + sizes · r_n.

    It holds B (frames − 1) n² numbers.

    Parameters
    ----------
    column
        The discretisation, boundary conditions included.
    retardation
        R ``(B, frames, n)``.
    sizes
        What the rows were divided by, ``(B, n)``.

    Returns
    -------
    Callable
        Of rows ``(*leading, B, frames, n)``; linear, differentiable.

    Examples
    --------
    >>> from pde_benchmarks.diffusion_sorption import DiffusionSorption
    >>> problem = DiffusionSorption(resolution=8, frames=3)
    >>> column = problem.column(problem.sample(2, torch.Generator().manual_seed(0)))
    >>> R, sizes = torch.full((2, 3, 8), 4.0), torch.ones(2, 8)
    >>> carrier(column, R.double(), sizes.double())(torch.zeros(5, 2, 3, 8, dtype=torch.float64)).shape
    torch.Size([5, 2, 3, 8])
    """
    interval = column.interval
    cells = retardation.shape[-1]
    # One dense inverse a frame, all at once: afterwards a step is one matrix product for all fields that are carried.
    factors = column.factors(retardation[:, 1:], (interval * column.rate)[..., None])
    unit = torch.eye(cells, dtype=retardation.dtype, device=retardation.device)
    inverses = factors.solve(unit[:, None, None]).permute(2, 1, 3, 0).contiguous()
    before = retardation[:, :-1, :, None].unbind(1)

    def carry(rows: Tensor) -> Tensor:
        leading = rows.shape[:-3]
        r = rows.reshape(math.prod(rows.shape[:-3]), *rows.shape[-3:]).permute(2, 1, 3, 0)  # (frame, B, cell, field)
        # Taken apart once: an index in the loop would fill an array of all frames with zeros in every backward step.
        driven = (interval * sizes[..., None] * r[1:]).unbind()
        e = [r[0]]
        for inverse, retarded, row in zip(inverses, before, driven, strict=True):
            e.append(inverse @ (retarded * e[-1] + row))
        return torch.stack(e).permute(3, 1, 0, 2).reshape(*leading, *rows.shape[-3:])

    return carry
