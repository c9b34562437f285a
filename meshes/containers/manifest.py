"""A mesh as names of stored arrays: what is in it and under which checksum, as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.mesh import Mesh

__all__ = ["manifest_of", "mesh_of_manifest"]

Array = NDArray[Any]

_FLAT = ("cells", "point_data", "global_data", "node_sets")
_NESTED = ("cell_data", "cell_sets", "facet_sets")
_NUMBERS = ("cells", "node_sets", "cell_sets", "facet_sets")


def manifest_of(mesh: Mesh, store: Callable[[Array], str]) -> dict[str, Any]:
    """Store every array of a mesh; returns their places. Node numbers take four bytes where these are enough."""

    def kept(part: str, name: str, values: Array) -> str:
        if values.dtype.kind not in "biufc":
            raise MeshError(f"{part} {name!r} of dtype {values.dtype}: expected numbers or truth values; leave it out.")
        small = part in _NUMBERS and max(len(mesh.points), *(len(v) for v in mesh.cells.values()), 0) < 2**31
        return store(values.astype(np.int32) if small else values)

    places: dict[str, Any] = {"points": store(mesh.points)}
    for part in _FLAT:
        places[part] = {name: kept(part, name, values) for name, values in getattr(mesh, part).items()}
    for part in _NESTED:
        places[part] = {
            name: {kind: kept(part, name, values) for kind, values in blocks.items()}
            for name, blocks in getattr(mesh, part).items()
        }
    return places


def mesh_of_manifest(places: dict[str, Any], load: Callable[[str], Array]) -> Mesh:
    """The mesh whose arrays `load` gives by name; dtypes of numbers, orders and empty parts as they were."""
    parts: dict[str, Any] = {part: {name: load(key) for name, key in places[part].items()} for part in _FLAT}
    for part in _NESTED:
        parts[part] = {name: {kind: load(key) for kind, key in blocks.items()} for name, blocks in places[part].items()}
    return Mesh(load(places["points"]), **parts)
