"""Fields given on cells, averaged to the points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.geometry import cell_volumes
from meshes.mesh import Mesh

__all__ = ["cell_field_at_points"]

Array = NDArray[Any]


def cell_field_at_points(mesh: Mesh, name: str) -> Array:
    """A cell field at the points: the mean over the cells around each point, weighted by their lengths, areas, volumes.

    A field that is constant stays as it is. Any other loses detail: peaks are lower than in the cells, and a jump
    between two cells becomes a slope.

    Parameters
    ----------
    mesh
        The field must be given on all cells of the largest dimension.
    name
        Of the cell field, values ``(k, ...)`` a block.

    Returns
    -------
    Array
        ``(n, ...)`` float64; NaN at points that no such cell touches.

    Raises
    ------
    MeshError
        There is no such cell field, or it is missing on a type of cells.

    Examples
    --------
    >>> two = Mesh([[0.0], [1.0], [4.0]], {"line": [[0, 1], [1, 2]]}, cell_data={"s": {"line": [8.0, 0.0]}})
    >>> cell_field_at_points(two, "s")
    array([8., 2., 0.])
    """
    if name not in mesh.cell_data:
        known = ", ".join(map(repr, mesh.cell_data)) or "none"
        raise MeshError(f"cell field {name!r}: not in the mesh, which has {known}.")
    blocks, given = mesh.blocks(), mesh.cell_data[name]
    missing = [kind for kind in blocks if kind not in given]
    if missing:
        raise MeshError(f"cell field {name!r}: not given on the cells of type {', '.join(missing)}.")
    trailing = next(iter(given.values())).shape[1:]
    total, weight = np.zeros((len(mesh.points), *trailing)), np.zeros(len(mesh.points))
    for kind, volumes in cell_volumes(mesh).items():
        nodes, share = blocks[kind], np.abs(volumes)
        values = share.reshape(-1, *(1,) * len(trailing)) * given[kind]
        for column in nodes.T:
            np.add.at(total, column, values)
            np.add.at(weight, column, share)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / weight.reshape(-1, *(1,) * len(trailing)))
