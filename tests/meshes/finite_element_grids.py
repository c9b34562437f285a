"""Grids of the unit interval, square and cube for the tests of finite elements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import skfem

from meshes import Mesh, boundary_facets, repair_mesh
from meshes.interchange import from_scikit_fem

__all__ = ["CELLS", "grid", "shaken"]

CELLS = ("line", "triangle", "quad", "tetra", "hexahedron")
_CLASSES = {
    "line": (skfem.MeshLine, 1),
    "triangle": (skfem.MeshTri, 2),
    "quad": (skfem.MeshQuad, 2),
    "tetra": (skfem.MeshTet, 3),
    "hexahedron": (skfem.MeshHex, 3),
}


def grid(kind: str, n: int) -> Mesh:
    """n cells a side, all positive; facet sets "left" (x = 0), "right" (x = 1) and "rest"."""
    family, dim = _CLASSES[kind]
    raw = from_scikit_fem(family.init_tensor(*[np.linspace(0, 1, n + 1)] * dim))
    mesh, _ = repair_mesh(raw)
    ((facet, nodes),) = boundary_facets(mesh).items()
    x = mesh.points[nodes][:, :, 0]
    left, right = (x == 0).all(axis=1), (x == 1).all(axis=1)
    parts = {"left": left, "right": right, "rest": ~(left | right)}
    return replace(mesh, facet_sets={name: {facet: nodes[part]} for name, part in parts.items()})


def shaken(mesh: Mesh, amount: float = 0.15, seed: int = 0) -> Mesh:
    """Inner points moved by up to `amount` of a cell's width."""
    inner = ((mesh.points > 0) & (mesh.points < 1)).all(axis=1)
    n = round(len(mesh.points) ** (1 / mesh.dimension)) - 1
    moves = np.random.default_rng(seed).uniform(-amount / n, amount / n, mesh.points.shape)
    return mesh.with_points(mesh.points + moves * inner[:, None])
