"""What the problems of elastic solids have in common: their fields, and how a solution is put on a mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meshes import Mesh
from pde_benchmarks.elasticity.solid import ElasticSolid
from pde_benchmarks.problem import FieldSpec, Meshes, Positive

__all__ = ["SOLID_FIELDS", "common_nodes", "with_solution"]

Array = NDArray[Any]

#: Displacements and von Mises' equivalent stress at the nodes of a solid.
SOLID_FIELDS = (
    *(FieldSpec(name, 1, Meshes(3), "mm") for name in ("u", "v", "w")),
    FieldSpec("vM", 1, Meshes(3), "MPa", Positive()),
)


def with_solution(mesh: Mesh, solid: ElasticSolid, displacement: Tensor, scalars: Mapping[str, float]) -> Mesh:
    """The mesh with u, v, w and vM at its points, and with max_vM and further scalars in its global data."""
    u, v, w = displacement.view(-1, 3)[: len(mesh.points)].T.numpy()
    equivalent = solid.von_mises(displacement).numpy()
    numbers = {"max_vM": float(equivalent.max()), **scalars}
    return replace(
        mesh,
        point_data={**mesh.point_data, "u": u, "v": v, "w": w, "vM": equivalent},
        global_data={**mesh.global_data, **{name: np.array(value) for name, value in numbers.items()}},
    )


def common_nodes(mesh: Mesh, names: Sequence[str]) -> Array:
    """The nodes ``(m,)`` that are in every one of these node sets: an edge of two sides, a corner of three."""
    return reduce(np.intersect1d, (mesh.node_set(name) for name in names))
