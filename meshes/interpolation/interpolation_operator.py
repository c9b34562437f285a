"""Interpolation of nodal fields from one mesh to points or to another mesh, as a sparse operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.interpolation.cell_locator import CellLocator, Location
from meshes.interpolation.outside import Outside, Refuse
from meshes.interpolation.shape_functions import shape_functions
from meshes.mesh import Mesh

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from solvers import CSROperator

__all__ = ["interpolate_fields", "interpolation_matrix", "interpolation_operator"]

Array = NDArray[Any]


def interpolation_operator(
    source: Mesh | CellLocator, target: Mesh | ArrayLike, outside: Outside | None = None
) -> CSROperator:
    """The operator that takes nodal values of `source` to values at the points of `target`.

    Its rows sum to one. Linear cells reproduce linear fields, quadratic cells quadratic ones, up to rounding; fields
    ``(*batch, n)`` go through it by ``operator.mv(field)`` with their gradients.

    Parameters
    ----------
    source
        A mesh with straight-sided cells, or a locator that was built for it and is used again.
    target
        Points ``(m, dim)``, or a mesh whose points are meant.
    outside
        What becomes of points in no cell: ``Refuse()`` (default), ``Nearest()``, ``Extrapolate()`` or ``Blank()``.

    Returns
    -------
    CSROperator
        ``(m, n)``, float64, one row for each target point.

    Raises
    ------
    MeshError
        Points outside (by the policy), points of another dimension, meshes that `CellLocator` refuses.

    Examples
    --------
    >>> import torch
    >>> mesh = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> P = interpolation_operator(mesh, [[0.25, 0.5], [1.0, 1.0]])
    >>> P.mv(torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    tensor([0.2500, 1.0000], dtype=torch.float64)
    """
    from solvers import CSROperator

    locator = source if isinstance(source, CellLocator) else CellLocator(source)
    points = np.asarray(target.points if isinstance(target, Mesh) else target, dtype=np.float64)
    location = (Refuse() if outside is None else outside).settle(locator, points, locator.locate(points))
    return CSROperator.from_scipy(interpolation_matrix(locator, location))


def interpolation_matrix(locator: CellLocator, location: Location) -> csr_array:
    """The rows ``(m, n)`` of shape functions at given places; NaN in the rows of points without a cell."""
    from scipy.sparse import csr_array

    m, n = len(location.cell), len(locator.points)
    count = np.ones(m, dtype=np.int64)
    parts = locator.by_kind(location.cell)
    for kind, chosen in parts:
        count[chosen] = cell_type(kind).nodes
    crow = np.concatenate([[0], np.cumsum(count)])
    col, values = np.zeros(crow[-1], dtype=np.int64), np.full(crow[-1], np.nan)
    for kind, chosen in parts:
        nodes = locator.mesh.cells[kind]
        number = location.cell[chosen] - locator.first[locator.kinds.index(kind)]
        weights = shape_functions(kind, location.coordinates[chosen, : cell_type(kind).dimension])
        place = crow[chosen][:, None] + np.arange(nodes.shape[1])
        col[place], values[place] = nodes[number], weights
    return csr_array((values, col, crow), shape=(m, n))


def interpolate_fields(source: Mesh | CellLocator, target: Mesh, outside: Outside | None = None) -> Mesh:
    """The target mesh with every point field of the source interpolated to its points, as float64.

    Fields of one name are replaced.

    Raises
    ------
    MeshError
        As `interpolation_operator`; also complex fields.

    Examples
    --------
    >>> coarse = Mesh([[0.0], [1.0]], {"line": [[0, 1]]}, {"u": [0.0, 2.0]})
    >>> fine = Mesh([[0.0], [0.5], [1.0]], {"line": [[0, 1], [1, 2]]})
    >>> interpolate_fields(coarse, fine).point_data["u"]
    array([0., 1., 2.])
    """
    locator = source if isinstance(source, CellLocator) else CellLocator(source)
    fields = locator.mesh.point_data
    for name, values in fields.items():
        if values.dtype.kind == "c":
            raise MeshError(f"point field {name!r} is complex: interpolate its real and imaginary parts.")
    matrix = interpolation_operator(locator, target, outside).to_scipy()
    carried = {
        name: np.asarray(matrix @ values.reshape(len(values), -1).astype(np.float64)).reshape(-1, *values.shape[1:])
        for name, values in fields.items()
    }
    return replace(target, point_data={**target.point_data, **carried})
