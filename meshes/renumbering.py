"""The same mesh with its nodes in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.mesh import Mesh

__all__ = ["renumbered"]

Array = NDArray[Any]


def renumbered(mesh: Mesh, order: ArrayLike) -> Mesh:
    """The mesh whose i-th node is node ``order[i]`` of the old one; cells, fields and sets follow.

    Cells stay in their order, and so do the nodes of a set.

    Parameters
    ----------
    order
        Every node number once, ``(n,)``.

    Raises
    ------
    MeshError
        The order is no permutation of the nodes.

    Examples
    --------
    >>> mesh = Mesh([[0.0], [1.0], [3.0]], {"line": [[0, 1], [1, 2]]}, node_sets={"end": [2]})
    >>> turned = renumbered(mesh, [2, 1, 0])
    >>> turned.points[:, 0].tolist(), turned.cells["line"].tolist(), turned.node_sets["end"].tolist()
    ([3.0, 1.0, 0.0], [[2, 1], [1, 0]], [0])
    """
    old, count = np.asarray(order), len(mesh.points)
    if old.shape != (count,) or not np.array_equal(np.sort(old), np.arange(count)):
        raise MeshError(f"order of shape {old.shape}: expected every node number from 0 to {count - 1} once.")
    new = np.argsort(old)
    return Mesh(
        mesh.points[old],
        {kind: new[nodes] for kind, nodes in mesh.cells.items()},
        {name: values[old] for name, values in mesh.point_data.items()},
        mesh.cell_data,
        mesh.global_data,
        {name: new[nodes] for name, nodes in mesh.node_sets.items()},
        mesh.cell_sets,
        {name: {kind: new[nodes] for kind, nodes in parts.items()} for name, parts in mesh.facet_sets.items()},
    )
