"""How coefficients are given: one number a cell, a node, or a quadrature point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.finite_elements.elements import Tabulation
from meshes.finite_elements.function_space import FunctionSpace

__all__ = ["CoefficientLayout", "Layout", "per_cell", "per_node", "per_quadrature_point"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CoefficientLayout:
    """In every cell, the coefficient at the quadrature points is Σ_m shapes[cell, m, :] · c[numbers[cell, m]].

    Attributes
    ----------
    numbers
        ``(cells, m)`` the global coefficients on which a cell depends.
    shapes
        ``(cells, m, q)`` their shape functions at the quadrature points; one for all, ``(1, m, q)``, if they agree.
    count
        Number of global coefficients.
    name
        What one of them belongs to, for messages.
    """

    numbers: Array
    shapes: Array
    count: int
    name: str


Layout = Callable[[FunctionSpace, Tabulation, Array], CoefficientLayout]


def per_cell(space: FunctionSpace, points: Tabulation, cell_nodes: Array) -> CoefficientLayout:
    """One constant a cell (a facet, for boundary terms): exact for materials with jumps along cell boundaries."""
    cells, q = points.weights.shape
    return CoefficientLayout(np.arange(cells)[:, None], np.ones((1, 1, q)), cells, "cell")


def per_node(space: FunctionSpace, points: Tabulation, cell_nodes: Array) -> CoefficientLayout:
    """A continuous coefficient of the degree of the space, by its values at the nodes."""
    return CoefficientLayout(cell_nodes, points.values.transpose(0, 2, 1), space.node_count, "node")


def per_quadrature_point(space: FunctionSpace, points: Tabulation, cell_nodes: Array) -> CoefficientLayout:
    """A value at every quadrature point, ``(cells · q)``: any function, with the accuracy of the quadrature."""
    cells, q = points.weights.shape
    return CoefficientLayout(np.arange(cells * q).reshape(cells, q), np.eye(q)[None], cells * q, "quadrature point")
