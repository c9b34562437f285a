"""Meshes and exact solutions of plane potential flows for the tests."""

from __future__ import annotations

import numpy as np

from meshes import Mesh
from meshes.generate import GradedSize, Loop, aerofoil_exterior, arc, circle, naca4, triangulate, with_boundary_sets

__all__ = ["cylinder", "exterior", "joukowski", "symmetric_exterior", "wedge"]


def exterior(contour, size: float, edge_size: float, radius: float, seed: int = 0) -> Mesh:
    """The plane around a contour, with the facet set "far"."""
    mesh = aerofoil_exterior(contour, size, edge_size, radius, 0.25, seed)
    halves = [mesh.facet_set(name)["line"] for name in ("inlet", "outlet")]
    return with_boundary_sets(mesh, {"far": {"line": np.concatenate(halves)}})


def cylinder(h: float, radius: float = 20.0) -> Mesh:
    """Around the unit circle."""
    points = circle([0.0, 0.0], 1.0, "wall").points
    return exterior(np.concatenate([points, points[:1]]), h, h, radius)


def joukowski(x: float, y: float, angle: float) -> tuple[np.ndarray, float]:
    """The image of a circle about (x, y) through 1 under ζ + 1/ζ, and its circulation in a flow of unit speed."""
    centre = x + 1j * y
    radius = abs(1 - centre)
    start = np.arcsin(y / radius)
    zeta = centre + radius * np.exp(1j * (np.linspace(0.0, 2 * np.pi, 4001) - start))
    zeta[[0, -1]] = 1.0
    z = zeta + 1 / zeta
    return np.column_stack([z.real, z.imag]), 4 * np.pi * radius * np.sin(angle + start)


def symmetric_exterior(thickness: float) -> tuple[Mesh, int]:
    """A mesh around a symmetric aerofoil that is its own mirror image, and the node of the trailing edge."""
    upper = naca4(0.0, 0.4, thickness)[:400]
    upper[-1] = 0.0
    around = arc([0.5, 0.0], (10.0, 10.0), np.pi, 0.0)
    around[[0, -1], 1] = 0.0
    loop = Loop.of(
        {
            "wall": upper,
            "front": np.array([[0.0, 0.0], around[0]]),
            "far": around,
            "rear": np.array([around[-1], [1.0, 0.0]]),
        }
    )
    half = triangulate([loop], GradedSize(upper, 0.02, 3.0, 0.3))
    mesh = with_mirror(half)
    wall = mesh.node_set("wall")
    return mesh, int(wall[mesh.points[wall, 0].argmax()])


def with_mirror(half: Mesh) -> Mesh:
    """A mesh above y = 0 and its mirror image; nodes on the axis once."""
    on_axis = np.abs(half.points[:, 1]) < 1e-12
    n = len(half.points)
    partner = np.where(on_axis, np.arange(n), n + np.cumsum(~on_axis) - 1)
    points = half.points * [1.0, 1.0]
    points[on_axis, 1] = 0.0
    triangles = half.cells["triangle"]
    sets = {
        name: {"line": np.concatenate([lines, partner[lines][:, ::-1]])}
        for name in ("wall", "far")
        for lines in [half.facet_set(name)["line"]]
    }
    mesh = Mesh(
        np.concatenate([points, points[~on_axis] * [1.0, -1.0]]),
        {"triangle": np.concatenate([triangles, partner[triangles][:, [0, 2, 1]]])},
    )
    return with_boundary_sets(mesh, sets)


def wedge(opening: float) -> tuple[Mesh, float, int]:
    """The unit disc without a wedge about −x with its edge at the origin; the angle of the rest, the edge's node."""
    half = np.pi - 0.5 * opening
    ends = np.column_stack([np.cos([-half, half]), np.sin([-half, half])])
    loop = Loop(
        ("wall", "rim", "wall"),
        (np.stack([np.zeros(2), ends[0]]), arc([0.0, 0.0], (1.0, 1.0), -half, half), np.stack([ends[1], np.zeros(2)])),
    )
    mesh = triangulate([loop], GradedSize(np.zeros((1, 2)), 0.02, 0.2, 0.2))
    return mesh, 2 * half, int(np.linalg.norm(mesh.points, axis=1).argmin())
