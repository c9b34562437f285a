"""The levels of a cycle over blocks of cells in flat buffers, as its compiled loops take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from solvers.kernels.aggregation import AggregationLevel, AggregationLevels

__all__ = ["Aggregates", "as_planes", "pack_aggregates"]

Array = np.ndarray[Any, Any]


class Aggregates(NamedTuple):
    """All levels in flat buffers, so that one compiled function serves every number of them.

    The cells of a level are ``(2, planes, lines, half)``: those of a line with an even index sum, then the others,
    padded by one without links where a line is odd. `shapes` holds planes, lines, cells of a line and half, `starts`
    where a level begins.
    `data` ``(batch, parts · cells of a colour)`` holds what `_parts` says of every level, `fine` ``(batch, cells)`` the
    factors on the fine side (no cells, if they are numbers, which are part of `coarse` then), `coarse` those on the
    coarse side, at the cells of the coarser level.
    """

    data: Array
    parts: int
    fine: Array
    coarse: Array
    inverse: Array
    shapes: Array
    starts: Array


def pack_aggregates(levels: AggregationLevels) -> Aggregates:
    """The levels in flat buffers."""
    every, inverse = levels.levels, levels.coarse_inverse.detach()
    batch, d = inverse.shape[0], len(levels.coarsest)
    grids = [level.grid for level in every] + [levels.coarsest]
    shapes = np.array([[*as_planes(grid), (grid[-1] + 1) // 2] for grid in grids], dtype=np.int64)
    cells = 2 * shapes[:, 0] * shapes[:, 1] * shapes[:, 3]
    starts = np.concatenate([[0], cells.cumsum()[:-1]]).astype(np.int64)
    parts = [_parts(level).flatten(1) for level in every]
    numbers = all(level.fine[0].numel() == 1 for level in every)
    fine = [] if numbers else [_by_colour(level.fine.expand(batch, *level.grid), level.grid) for level in every]
    sides = [level.coarse * level.fine if numbers else level.coarse for level in every]
    coarse = [_by_colour(side.expand(batch, *grid), grid) for side, grid in zip(sides, grids[1:], strict=True)]
    first = inverse.new_zeros(batch, int(cells[0]))
    joined = [_joined(pieces, inverse) for pieces in (parts, fine, [first, *coarse])]
    for _ in range(2):  # rows, then columns of the dense inverse in the order of the buffers
        moved = inverse.mT.unflatten(-1, levels.coarsest)
        inverse = _by_colour(moved, levels.coarsest)
    return Aggregates(joined[0], 2 * d + 5, joined[1], joined[2], inverse.contiguous().numpy(), shapes, starts)


def as_planes(grid: Sequence[int]) -> tuple[int, ...]:
    """Three axes, of which the first runs over planes: ``(n, 1, m)`` for two axes and ``(1, 1, n)`` for one."""
    return (1, 1, *grid) if len(grid) == 1 else (grid[0], 1, grid[1]) if len(grid) == 2 else tuple(grid)


def _parts(level: AggregationLevel) -> Tensor:
    """``(batch, 2 d + 5, cells of a colour)``: links, keep and weight.

    Links along the axes before the last, to the next line or plane: of red cells, of black ones. Along the last axis
    from a cell with even index to the next, both at one place of their line; from one with odd index to the next, at
    the following place, on lines whose other indices have an even sum, then on the others (zero elsewhere).
    """
    grid, before_last = level.grid, level.links[:, :-1]
    halves = [_by_colour(field, grid).unflatten(-1, (2, -1)) for field in (before_last, level.keep, level.weight)]
    line = level.links[:, -1]
    if grid[-1] % 2:
        line = torch.cat([line, torch.zeros_like(line.narrow(-1, 0, 1))], -1)
    pairs = line.unflatten(-1, (-1, 2))
    beside, next_place = (pairs.select(-1, k).flatten(1).unsqueeze(1) for k in range(2))
    planes, lines, width = as_planes(grid)
    even = (torch.arange(planes)[:, None] + torch.arange(lines)) % 2 == 0
    even = even[..., None].expand(planes, lines, (width + 1) // 2).flatten()
    along = [beside, torch.where(even, next_place, 0), torch.where(even, 0, next_place)]
    return torch.cat([halves[0].flatten(1, 2), *along, halves[1], halves[2]], 1)


def _by_colour(field: Tensor, grid: tuple[int, ...]) -> Tensor:
    """``(…, *grid)`` in the order of the buffers, ``(…, cells)``; zero in cells that pad."""
    flat = field.flatten(-len(grid))
    return torch.cat([flat, flat.new_zeros(*flat.shape[:-1], 1)], -1).index_select(-1, _order(grid))


@lru_cache(maxsize=64)
def _order(grid: tuple[int, ...]) -> Tensor:
    """The cell at every place of a level's buffer; the number of cells where there is none."""
    planes, lines, width = as_planes(grid)
    colour = torch.arange(2)[:, None, None, None]
    i, j = torch.arange(planes)[:, None, None], torch.arange(lines)[:, None]
    k = 2 * torch.arange((width + 1) // 2) + (i + j + colour) % 2
    return torch.where(k < width, (i * lines + j) * width + k, planes * lines * width).flatten()


def _joined(pieces: Sequence[Tensor], like: Tensor) -> Array:
    joined: Array = (torch.cat(list(pieces), 1) if pieces else like.new_zeros(like.shape[0], 0)).detach().numpy()
    return joined
