"""Where the entries of the cells' matrices go in the global matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from solvers.operators import CSRPattern

__all__ = ["EntryPlaces", "vector_places"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class EntryPlaces:
    """The pattern of an assembled matrix, and the numbers ``(cells, i, j)`` of its entries that the cells add to."""

    pattern: CSRPattern
    places: Array

    def of_cells(self, cells: Array) -> EntryPlaces:
        """The same pattern with the entries of some cells, repeated or in any order."""
        return EntryPlaces(self.pattern, self.places[cells])


def vector_places(cell_nodes: Array, count: int, components: int) -> EntryPlaces:
    """All components of the nodes of a cell are coupled with each other.

    Only the pairs of nodes are sorted; the components' entries follow by counting: row (a, c) holds for every neighbour
    b of a, in rising order, its components.

    Parameters
    ----------
    cell_nodes
        ``(cells, local)`` node numbers below `count`.
    """
    cells, local = cell_nodes.shape
    keys = cell_nodes[:, :, None] * count + cell_nodes[:, None, :]
    pairs, inverse = np.unique(keys, return_inverse=True)
    inverse = inverse.reshape(cells, local, local)
    row, column = pairs // count, pairs % count
    degree = np.bincount(row, minlength=count)
    start = np.concatenate([[0], np.cumsum(degree)])
    rank = np.arange(len(pairs)) - start[row]
    c = np.arange(components)
    # Entry of ((a, c), (b, d)), for every pair (a, b): (pairs, components, components).
    first = start[row] * components**2 + rank * components
    numbers = first[:, None, None] + (degree[row] * components)[:, None, None] * c[:, None] + c
    columns = np.empty(numbers.size, dtype=np.int64)
    columns[numbers] = (column * components)[:, None, None] + c
    crow = np.concatenate([[0], np.cumsum(np.repeat(degree * components, components))])
    size = count * components
    pattern = CSRPattern(torch.from_numpy(crow), torch.from_numpy(columns), (size, size))
    places = numbers[inverse].transpose(0, 1, 3, 2, 4).reshape(cells, local * components, local * components)
    places.setflags(write=False)
    return EntryPlaces(pattern, places)
