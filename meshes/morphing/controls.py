"""What a morphing needs to start: finite points, and nodes whose new places are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MorphingError
from meshes.mesh import Mesh

__all__ = ["controls", "require_finite", "require_ties"]

Array = NDArray[Any]
_SHOWN = 5


def controls(mesh: Mesh, nodes: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Control nodes ``(m,)`` and their targets ``(m, dim)`` as arrays that fit the mesh.

    Raises
    ------
    MorphingError
        There are none, a node is not in the mesh or given twice, a target is missing or not finite, nor is a point.
    """
    require_finite(mesh)
    numbers, places = np.array(nodes), np.array(targets, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
        raise MorphingError(
            f"control nodes of shape {numbers.shape} and dtype {numbers.dtype}: expected (m,) node numbers, m ≥ 1."
        )
    if not 0 <= numbers.min() <= numbers.max() < len(mesh.points):
        raise MorphingError(
            f"control nodes run from {numbers.min()} to {numbers.max()}: the mesh has {len(mesh.points)} points."
        )
    if places.shape != (len(numbers), mesh.space_dimension):
        raise MorphingError(
            f"targets {places.shape}: expected ({len(numbers)}, {mesh.space_dimension}), a place for each control node."
        )
    wrong = numbers[~np.isfinite(places).all(axis=1)]
    if len(wrong):
        raise MorphingError(f"targets of {len(wrong)} control nodes ({_first(wrong)}) are not finite numbers.")
    once, count = np.unique(numbers, return_counts=True)
    if (count > 1).any():
        raise MorphingError(
            f"control nodes given more than once ({_first(once[count > 1])}): expected one target each."
        )
    return numbers.astype(np.int64), places


def require_finite(mesh: Mesh) -> None:
    """Raise `MorphingError` if a point has NaN or infinity."""
    lost = np.flatnonzero(~np.isfinite(mesh.points).all(axis=1))
    if len(lost):
        raise MorphingError(f"{len(lost)} points are not finite ({_first(lost)}): correct the file they come from.")


def require_ties(mesh: Mesh, nodes: Array) -> None:
    """Raise `MorphingError` if some connected part of the mesh, or a point of no cell, has no control node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(mesh.points)
    hubs = [np.repeat(cells[:, 0], cells.shape[1]) for cells in mesh.blocks().values()]
    spokes = [cells.ravel() for cells in mesh.blocks().values()]
    row, column = np.concatenate(hubs), np.concatenate(spokes)
    graph = coo_array((np.ones(len(row)), (row, column)), shape=(n, n))
    parts, label = connected_components(graph, directed=False)
    loose = np.setdiff1d(np.arange(parts), label[nodes])
    if len(loose):
        first = int(np.flatnonzero(label == loose[0])[0])
        raise MorphingError(
            f"{len(loose)} of {parts} connected parts have no control node (one of them holds node {first}): give some "
            "to every part, and drop unused points with meshes.repair_mesh."
        )


def _first(members: Array) -> str:
    return ", ".join(map(str, members[:_SHOWN])) + (", …" if len(members) > _SHOWN else "")
