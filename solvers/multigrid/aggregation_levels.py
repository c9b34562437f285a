"""The differentiable set-up of a cycle over blocks of cells: graphs from fine to coarse, and what relaxes them."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from solvers.kernels.aggregation import AggregationLevel, AggregationLevels, red_cells
from solvers.multigrid.aggregation_coefficients import CoefficientRule, LevelCoefficients
from solvers.multigrid.aggregation_graph import CellGraph

__all__ = ["aggregation_levels"]


def aggregation_levels(graph: CellGraph, rule: CoefficientRule, coarsest: int = 4) -> AggregationLevels:
    """Coarsen by blocks of two cells an axis until a grid has at most ``coarsest ** d`` cells, whose inverse is dense.

    Plain torch: gradients flow to whatever the rule computes its coefficients from, and to the graph.

    Parameters
    ----------
    graph
        The finest level.
    rule
        The coefficients of every level, such as a `CycleCoefficients`. They are not checked here.
    coarsest
        Cells an axis.

    Raises
    ------
    ShapeError
        A coefficient is a field on another grid.

    Examples
    --------
    >>> import torch
    >>> from solvers import CycleCoefficients, finite_volume_operator
    >>> graph = CellGraph.of(finite_volume_operator(torch.ones(16, 16), spacing=1 / 16))
    >>> omega = torch.tensor(1.1, requires_grad=True)
    >>> rule = CycleCoefficients((LevelCoefficients(omega, omega, link=0.5, mass=0.5),))
    >>> [level.grid for level in aggregation_levels(graph, rule).levels]
    [(16, 16), (8, 8)]
    """
    levels: list[AggregationLevel] = []
    while prod(graph.grid) > coarsest ** len(graph.grid):
        sums = graph.coarse()
        level, graph = _level(graph, sums, rule(len(levels), graph, sums), len(levels))
        levels.append(level)
    return AggregationLevels(tuple(levels), _inverse(graph), graph.grid)


def _level(
    graph: CellGraph, sums: CellGraph, given: LevelCoefficients, number: int
) -> tuple[AggregationLevel, CellGraph]:
    """One level, and the next coarser graph."""
    omega_red, omega_black, fine, coarse, link, mass = given.on(graph, sums, number)
    diagonal, shape = graph.diagonal, (-1, *(1,) * len(graph.grid))
    alive = diagonal > 0
    omega = torch.where(red_cells(graph.grid, diagonal.device), omega_red, omega_black)
    keep = torch.where(alive, 1 - omega, 0)
    weight = torch.where(alive, omega / torch.where(alive, diagonal, 1), 0)
    fine, coarse = (t.reshape(shape) if t.numel() == 1 else t.reshape(_whole(t, len(shape))) for t in (fine, coarse))
    return AggregationLevel(graph.links, keep, weight, fine, coarse), sums.scaled(link, mass)


def _whole(t: Tensor, ndim: int) -> tuple[int, ...]:
    """The shape with leading axes of length 1."""
    return (1,) * (ndim - t.ndim) + tuple(t.shape)


def _inverse(graph: CellGraph) -> Tensor:
    """The exact pseudo-inverses ``(batch, n, n)``, in double precision; NaN for NaN.

    The kernel is known: the constants on every connected part without mass, cells without links among them. With Z the
    projection onto it, A⁺ = (A + σ Z)⁻¹ − Z / σ for any σ > 0: nothing small is taken for zero, and it is
    differentiable.
    """
    links, mass = graph.links.double().flatten(2), graph.mass.double().flatten(1)
    A = torch.diag_embed(mass)
    for k, difference in enumerate(_differences(graph.grid)):
        difference = difference.to(A.device)
        A = A + difference.mT @ (links.select(1, k).unsqueeze(-1) * difference)
    with torch.no_grad():
        finite = A.isfinite().all(-1).all(-1)[:, None, None]
        size = A.diagonal(dim1=-2, dim2=-1).amax(-1)[:, None, None]
        sigma = torch.where(finite & (size > 0), size, 1)
        Z = _kernel(A, mass)
    inverse = torch.linalg.inv(torch.where(finite, A + sigma * Z, torch.eye(A.shape[-1], device=A.device).double()))
    inverse = 0.5 * (inverse + inverse.mT) - Z / sigma
    return torch.where(finite, inverse, torch.nan).to(graph.mass.dtype)


def _kernel(A: Tensor, mass: Tensor) -> Tensor:
    """The projection onto the constants on each connected part without mass, ``(batch, n, n)``."""
    n = A.shape[-1]
    joined = (A != 0) | torch.eye(n, dtype=torch.bool, device=A.device)
    for _ in range(max(n - 1, 1).bit_length()):  # paths of length 1, 2, 4, … up to n − 1
        joined = joined.double() @ joined.double() > 0
    held = (joined & (mass != 0).unsqueeze(-2)).any(-1, keepdim=True)
    return torch.where(held, 0, joined.double() / joined.double().sum(-1, keepdim=True))


@lru_cache(maxsize=64)
def _differences(grid: tuple[int, ...]) -> tuple[Tensor, ...]:
    """For every axis the matrix of u ↦ uᵢ − (u at the next cell), zero rows for the last cells."""
    index = torch.arange(prod(grid)).reshape(grid)
    matrices = []
    for axis, n in enumerate(grid):
        here, there = index.narrow(axis, 0, n - 1).reshape(-1), index.narrow(axis, 1, n - 1).reshape(-1)
        matrix = torch.zeros(prod(grid), prod(grid), dtype=torch.float64)
        matrix[here, here], matrix[here, there] = 1.0, -1.0
        matrices.append(matrix)
    return tuple(matrices)
