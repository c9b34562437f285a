"""Solid, fluid and open cells, told from the matrix of the pressure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from pde_benchmarks.errors import ProblemError
from pde_benchmarks.pressure.cells import FLUID, OPEN, SOLID
from solvers import CSROperator, DiffusionOperator

__all__ = ["PressureMatrix", "cells_of", "recognised"]


@dataclass(frozen=True)
class PressureMatrix:
    """What a matrix of the pressure says without doubt.

    Parameters
    ----------
    fluid
        Where its rows are not empty, bool ``(*grid)``.
    open_faces
        Faces of every fluid cell with p = 0 behind them, int64 ``(*grid)``; zero elsewhere.
    """

    fluid: Tensor
    open_faces: Tensor

    def operator(self, dtype: torch.dtype = torch.float64) -> DiffusionOperator:
        """The same matrix, as geometric multigrid wants it; open faces are a reaction, wherever they are."""
        d, fluid = self.fluid.ndim, self.fluid.to(dtype)
        faces = []
        for k in range(d):
            n = fluid.shape[k]
            inner = fluid.narrow(k, 0, n - 1) * fluid.narrow(k, 1, n - 1)
            none = torch.zeros_like(fluid.narrow(k, 0, 1))
            faces.append(torch.cat([none, inner, none], k))
        return DiffusionOperator(faces, self.open_faces.to(dtype))


def recognised(matrix: CSROperator, n: int) -> PressureMatrix:
    """Fluid and open faces of a matrix of the pressure on n × n (× n) cells, or of n cells in a row.

    Parameters
    ----------
    matrix
        n^d × n^d, d = 1, 2 or 3, last axis fastest; rows of cells that are not fluid are empty or zero.

    Raises
    ------
    ProblemError
        The size is no power of n, an entry off the diagonal is not −1 between neighbouring fluid cells, one of these is
        missing, or a diagonal entry is not the number of faces that no solid closes. The message names row and column.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.pressure import pressure_operator
    >>> recognised(pressure_operator(torch.tensor([0, 1, 1, 2])).to_csr(), 4).open_faces
    tensor([0, 0, 1, 0])
    """
    grid = _grid(matrix, n)
    stored = matrix.to_scipy()
    stored.eliminate_zeros()
    diagonal = stored.diagonal()
    fluid = diagonal != 0
    _check_entries(stored.tocoo(), fluid, grid)
    neighbours = _neighbours(fluid.reshape(grid)).reshape(-1)
    faces = np.diff(stored.indptr) - fluid
    _refuse(fluid & (faces != neighbours), lambda row: _missing(stored, fluid, grid, row))
    open_faces = np.where(fluid, diagonal - neighbours, 0)
    outside = 2 * len(grid) - neighbours
    _refuse(
        fluid & ((open_faces < 0) | (open_faces > outside) | (open_faces != np.floor(open_faces))),
        lambda row: (
            f"row {row}, column {row}: {diagonal[row]:.6g} for {int(neighbours[row])} fluid neighbours: expected "
            f"{int(neighbours[row])} to {2 * len(grid)}, the number of faces that no solid closes."
        ),
    )
    return PressureMatrix(
        torch.from_numpy(fluid.reshape(grid)), torch.from_numpy(open_faces.astype(np.int64).reshape(grid))
    )


def cells_of(matrix: CSROperator, n: int) -> tuple[Tensor, Tensor]:
    """Cells and open sides whose `pressure_operator` is the matrix; with the fewest open cells, if there are several.

    A matrix tells how many open faces a fluid cell has, not which. Which cells and sides are open is a system of
    equations in zeros and ones, Σ (open cells and sides next to i) = open faces of i, which is solved as such.

    Parameters
    ----------
    matrix, n
        As in `recognised`.

    Returns
    -------
    tuple
        int8 ``(*grid)``, and bool ``(d, 2)``, true for open sides: the two arguments of `pressure_operator`.

    Raises
    ------
    ProblemError
        As `recognised`, or no open cells and sides give these open faces (as in a matrix whose cells are open at some
        of their faces only): `recognised(matrix, n).operator()` serves it nevertheless.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.pressure import pressure_operator
    >>> cells, sides = cells_of(pressure_operator(torch.tensor([0, 1, 1, 2])).to_csr(), 4)
    >>> cells, sides
    (tensor([0, 1, 1, 2], dtype=torch.int8), tensor([[False, False]]))
    """
    found = recognised(matrix, n)
    fluid, wanted = found.fluid.numpy(), found.open_faces.numpy().reshape(-1)
    size, d = fluid.size, fluid.ndim
    row, column = _touching(fluid)
    is_open = _binary_solution(row, column, wanted, size + 2 * d, size)
    if is_open is None:
        raise ProblemError(
            "no open cells and sides give the numbers of open faces that the rows of the matrix have: use "
            "recognised(matrix, n).operator(), which needs to know no cells."
        )
    cells = np.where(fluid, FLUID, np.where(is_open[:size].reshape(fluid.shape), OPEN, SOLID)).astype(np.int8)
    return torch.from_numpy(cells), torch.from_numpy(is_open[size:].reshape(d, 2))


def _touching(fluid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a fluid cell and what may be open beside it: another cell, or side k of the box numbered size + k."""
    size, wet = fluid.size, fluid.reshape(-1)
    index = np.arange(size).reshape(fluid.shape)
    rows, columns = [], []
    for k in range(fluid.ndim):
        before, after = (index[(slice(None),) * k + (part,)] for part in (slice(None, -1), slice(1, None)))
        for here, there in ((before, after), (after, before)):
            touch = wet[here] & ~wet[there]
            rows.append(here[touch])
            columns.append(there[touch])
        for side, place in enumerate((0, -1)):
            rim = np.moveaxis(index, k, 0)[place].reshape(-1)
            rim = rim[wet[rim]]
            rows.append(rim)
            columns.append(np.full(rim.size, size + 2 * k + side))
    return np.concatenate(rows), np.concatenate(columns)


def _binary_solution(
    row: np.ndarray, column: np.ndarray, wanted: np.ndarray, count: int, cells: int
) -> np.ndarray | None:
    """The zeros and ones with Σ_(entries of i) x = wanted_i and the fewest ones among the first `cells`, or None."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    used, place = np.unique(column, return_inverse=True)
    equations, which = np.unique(row, return_inverse=True)
    result = np.zeros(count, dtype=bool)
    if wanted.sum() != wanted[equations].sum():
        return None
    if not used.size:
        return result
    system = scipy.sparse.csr_array((np.ones(row.size), (which, place)), shape=(equations.size, used.size))
    sums = LinearConstraint(system, wanted[equations], wanted[equations])
    cost = (used < cells).astype(float)
    found = milp(cost, integrality=np.ones(used.size, dtype=np.int64), bounds=Bounds(0, 1), constraints=sums)
    if found.x is None:
        return None
    result[used] = found.x > 0.5
    return result


def _grid(matrix: CSROperator, n: int) -> tuple[int, ...]:
    for d in (1, 2, 3):
        if matrix.shape == (n**d, n**d) and not matrix.batch_shape:
            return (n,) * d
    raise ProblemError(f"{matrix!r} for {n} cells an axis: one matrix of {n}, {n**2} or {n**3} rows is expected.")


def _neighbours(fluid: np.ndarray) -> np.ndarray:
    """Number of fluid cells that share a face with each cell."""
    count = np.zeros(fluid.shape, dtype=np.int64)
    for k in range(fluid.ndim):
        before, after = ((slice(None),) * k + (part,) for part in (slice(None, -1), slice(1, None)))
        count[before] += fluid[after]
        count[after] += fluid[before]
    return count


def _check_entries(stored: scipy.sparse.coo_array, fluid: np.ndarray, grid: tuple[int, ...]) -> None:
    off = stored.row != stored.col
    row, column, value = stored.row[off], stored.col[off], stored.data[off]
    distance = sum(
        np.abs(here - there)
        for here, there in zip(np.unravel_index(row, grid), np.unravel_index(column, grid), strict=True)
    )
    wrong = np.flatnonzero((distance != 1) | (value != -1) | ~fluid[row] | ~fluid[column])
    if not wrong.size:
        return
    i, j, a = int(row[wrong[0]]), int(column[wrong[0]]), value[wrong[0]]
    where = f"row {i}, column {j}: {a:.6g}"
    size = "×".join(map(str, grid))
    if distance[wrong[0]] != 1:
        raise ProblemError(f"{where}: these cells of the {size} grid share no face; nothing is expected there.")
    if a != -1:
        raise ProblemError(f"{where}: −1 is expected between fluid cells; is the matrix scaled, or its sign flipped?")
    raise ProblemError(f"{where}: the diagonal of one of these rows is zero, so no entry is expected there.")


def _missing(stored: scipy.sparse.csr_array, fluid: np.ndarray, grid: tuple[int, ...], row: int) -> str:
    """What is wrong with a fluid row that has too few neighbours."""
    here = np.array(np.unravel_index(row, grid))
    present = set(stored.indices[stored.indptr[row] : stored.indptr[row + 1]].tolist())
    for k in range(len(grid)):
        for step in (-1, 1):
            there = here.copy()
            there[k] += step
            if 0 <= there[k] < grid[k]:
                column = int(np.ravel_multi_index(tuple(there), grid))
                if fluid[column] and column not in present:
                    return f"row {row}, column {column}: nothing stored: −1 is expected between two fluid cells."
    return f"row {row}: other neighbours than the fluid cells around it."


def _refuse(wrong: np.ndarray, message: Callable[[int], str]) -> None:
    """Raise with the message on the first wrong row, if there is one."""
    if wrong.any():
        raise ProblemError(message(int(np.flatnonzero(wrong)[0])))
