"""Parts of the boundary by name: their facets, their nodes, their degrees of freedom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.finite_elements.function_space import FunctionSpace

__all__ = ["dofs_on", "facet_numbers", "nodes_on"]

Array = NDArray[Any]


def dofs_on(space: FunctionSpace, *where: str, component: int | None = None) -> Array:
    """Degrees of freedom ``(m,)`` on named facet sets or node sets, rising; on the whole boundary if none is named.

    Parameters
    ----------
    component
        Only this component of a vector field (a roller support); all by default.

    Raises
    ------
    MeshError
        A set that the mesh does not have, an empty one, or a component that the space does not have.

    Examples
    --------
    >>> from meshes import Mesh
    >>> sets = {"left": {"line": [[2, 0]]}}
    >>> mesh = Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}, facet_sets=sets)
    >>> dofs_on(FunctionSpace(mesh, components=2), "left", component=0)
    array([0, 4])
    """
    if component is not None and not 0 <= component < space.components:
        raise MeshError(f"component {component}: the space has components 0 to {space.components - 1}.")
    nodes = np.unique(np.concatenate([nodes_on(space, name) for name in where or (None,)]))
    chosen = np.arange(space.components) if component is None else np.array([component])
    return np.asarray((nodes[:, None] * space.components + chosen).ravel())


def nodes_on(space: FunctionSpace, where: str | None = None) -> Array:
    """Nodes ``(m,)`` on a facet set or a node set, rising; on the whole boundary by default.

    Of a node set also the mid-nodes of boundary facets all of whose vertices are in the set.
    """
    if where is None or where in space.mesh.facet_sets:
        return _nodes_of(space, facet_numbers(space, where))
    points = space.mesh.node_sets.get(where)
    if points is None:
        raise MeshError(_unknown(space, where, both=True))
    if not len(points):
        raise MeshError(f"node set {where!r} is empty: there is nothing to hold.")
    outer = space.basis.mesh.boundary_facets()
    inside = np.isin(space.basis.mesh.facets[:, outer], points).all(axis=0)
    return np.union1d(points, _nodes_of(space, outer[inside]))


def facet_numbers(space: FunctionSpace, where: str | None = None) -> Array:
    """scikit-fem's numbers of the facets of a set, in the order of the set; of the whole boundary by default."""
    mesh = space.basis.mesh
    if where is None:
        return np.asarray(mesh.boundary_facets())
    if where not in space.mesh.facet_sets:
        raise MeshError(_unknown(space, where, both=False))
    numbers = np.asarray(mesh.boundaries[where])
    if not len(numbers):
        raise MeshError(f"facet set {where!r} is empty: there is nothing to hold or to load.")
    return numbers


def _nodes_of(space: FunctionSpace, facets: Array) -> Array:
    return np.unique(np.asarray(space.basis.get_dofs(facets=facets).flatten(), dtype=np.int64))


def _unknown(space: FunctionSpace, where: str, both: bool) -> str:
    facet_sets = ", ".join(map(repr, space.mesh.facet_sets)) or "none"
    message = f"boundary {where!r}: not in the mesh, which has facet sets {facet_sets}"
    return message + (f" and node sets {', '.join(map(repr, space.mesh.node_sets)) or 'none'}." if both else ".")
