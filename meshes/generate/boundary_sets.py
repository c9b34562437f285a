"""Names for the parts of a boundary: facet sets with the node sets that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.mesh import Mesh

__all__ = ["with_boundary_sets"]

Array = NDArray[Any]


def with_boundary_sets(mesh: Mesh, facet_sets: Mapping[str, Mapping[str, Array]]) -> Mesh:
    """The mesh with these facet sets ``{name: {facet type: (m, nodes)}}`` and, by the same names, their nodes.

    Examples
    --------
    >>> mesh = Mesh([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], {"triangle": [[0, 1, 2]]})
    >>> with_boundary_sets(mesh, {"base": {"line": np.array([[0, 1]])}}).node_set("base")
    array([0, 1])
    """
    node_sets = {
        name: np.unique(np.concatenate([nodes.ravel() for nodes in parts.values()]))
        for name, parts in facet_sets.items()
    }
    facets = {name: dict(parts) for name, parts in facet_sets.items()}
    return replace(mesh, facet_sets={**mesh.facet_sets, **facets}, node_sets={**mesh.node_sets, **node_sets})
