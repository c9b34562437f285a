"""Shape functions of every Lagrange cell, from its nodes and its monomials on the reference cell."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError

__all__ = ["reference_nodes", "shape_functions", "shape_gradients"]

Array = NDArray[Any]

_CORNERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "vertex": ((),),
    "line": ((0,), (1,)),
    "triangle": ((0, 0), (1, 0), (0, 1)),
    "quad": ((0, 0), (1, 0), (1, 1), (0, 1)),
    "tetra": ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "hexahedron": ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    "wedge": ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1)),
}
_HEXAHEDRON_EDGES = (
    *((0, 1), (1, 2), (2, 3), (3, 0)),
    *((4, 5), (5, 6), (6, 7), (7, 4)),
    *((0, 4), (1, 5), (2, 6), (3, 7)),
)
# Every further node is the mean of these vertices.
_BETWEEN: dict[str, tuple[tuple[int, ...], ...]] = {
    "line3": ((0, 1),),
    "triangle6": ((0, 1), (1, 2), (2, 0)),
    "quad8": ((0, 1), (1, 2), (2, 3), (3, 0)),
    "quad9": ((0, 1), (1, 2), (2, 3), (3, 0), (0, 1, 2, 3)),
    "tetra10": ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3)),
    "hexahedron20": _HEXAHEDRON_EDGES,
    "hexahedron27": (
        *_HEXAHEDRON_EDGES,
        *((0, 3, 4, 7), (1, 2, 5, 6), (0, 1, 4, 5), (2, 3, 6, 7), (0, 1, 2, 3), (4, 5, 6, 7)),
        tuple(range(8)),
    ),
}


def reference_nodes(kind: str) -> Array:
    """Nodes ``(nodes, d)`` of the reference cell: unit simplex, unit cube, or unit triangle times unit interval.

    Raises
    ------
    MeshError
        For a type without polynomial shape functions here (pyramids).

    Examples
    --------
    >>> reference_nodes("triangle6")[3:].tolist()
    [[0.5, 0.0], [0.5, 0.5], [0.0, 0.5]]
    """
    linear = cell_type(kind).linear
    if linear not in _CORNERS:
        raise MeshError(f"{kind!r} cells have no shape functions here; expected one of {', '.join(_known())}.")
    corners = np.array(_CORNERS[linear], dtype=np.float64).reshape(cell_type(kind).vertices, cell_type(kind).dimension)
    return np.array([*corners, *(corners[list(between)].mean(axis=0) for between in _BETWEEN.get(kind, ()))])


def shape_functions(kind: str, coordinates: ArrayLike) -> Array:
    """Values ``(m, nodes)`` of the shape functions at reference coordinates ``(m, d)``.

    They sum to one, and are exact for linear polynomials, those of quadratic cells for quadratic ones.

    Examples
    --------
    >>> shape_functions("quad", [[0.5, 0.5]]).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    exponents, coefficients = _basis(kind)
    return np.asarray(_monomials(_as_points(coordinates), exponents) @ coefficients)


def shape_gradients(kind: str, coordinates: ArrayLike) -> Array:
    """Derivatives ``(m, nodes, d)`` of the shape functions by the reference coordinates ``(m, d)``."""
    exponents, coefficients = _basis(kind)
    x = _as_points(coordinates)
    columns = []
    for axis in range(x.shape[1]):
        lowered = exponents.copy()
        lowered[:, axis] = np.maximum(lowered[:, axis] - 1, 0)
        columns.append((_monomials(x, lowered) * exponents[:, axis]) @ coefficients)
    return np.stack(columns, axis=-1)


@cache
def _basis(kind: str) -> tuple[Array, Array]:
    """Exponents ``(nodes, d)`` and the coefficients ``(monomial, node)`` that are one at their own node only."""
    nodes = reference_nodes(kind)
    exponents = np.array([e for e in product(range(3), repeat=nodes.shape[1]) if _spans(kind, e)], dtype=np.int64)
    exponents = exponents.reshape(len(nodes), nodes.shape[1])
    # With nodes at multiples of one half the coefficients are whole numbers: rounding makes them exact.
    return exponents, np.round(np.linalg.inv(_monomials(nodes, exponents)))


def _spans(kind: str, exponents: tuple[int, ...]) -> bool:
    """Whether the monomial belongs to the cell's polynomials."""
    linear, degree = cell_type(kind).linear, 2 if kind in _BETWEEN else 1
    if linear in ("triangle", "tetra"):
        return sum(exponents) <= degree
    if linear == "wedge":
        return sum(exponents[:2]) <= 1 and exponents[2] <= 1
    if kind in ("quad8", "hexahedron20"):  # serendipity: one square at most
        return exponents.count(2) <= 1
    return max(exponents, default=0) <= degree


def _monomials(x: Array, exponents: Array) -> Array:
    powers = np.stack([np.ones_like(x), x, x * x])  # (power, m, d)
    result = np.ones((len(x), len(exponents)))
    for axis in range(x.shape[1]):
        result *= powers[exponents[:, axis], :, axis].T
    return result


def _as_points(coordinates: ArrayLike) -> Array:
    return np.asarray(coordinates, dtype=np.float64)


def _known() -> list[str]:
    return [*_CORNERS, *_BETWEEN]
