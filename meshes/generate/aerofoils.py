"""NACA four-digit aerofoils and the plane around an aerofoil."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.generate.outline import Loop, arc
from meshes.generate.size import GradedSize
from meshes.generate.triangulation import triangulate
from meshes.mesh import Mesh

__all__ = ["aerofoil_exterior", "naca4"]

Array = NDArray[Any]


def naca4(camber: float, position: float, thickness: float, count: int = 400) -> Array:
    """The contour of a NACA four-digit aerofoil of chord 1 with a closed trailing edge (Jacobs et al. 1933).

    Half the thickness, 5 t (0.2969 √x − 0.1260 x − 0.3516 x² + 0.2843 x³ − 0.1036 x⁴), is laid off normal to the camber
    line, of two parabolas that meet at its highest point.

    Parameters
    ----------
    camber, position, thickness
        Largest camber, its place, and the largest thickness, in chords: 0.02, 0.4, 0.12 for NACA 2412.
    count
        Points on each of both sides, dense at the edges.

    Returns
    -------
    Array
        ``(2 count − 1, 2)`` from the trailing edge along the upper side, around the leading edge, back below.

    Raises
    ------
    MeshError
        Parameters that describe no aerofoil.

    Examples
    --------
    >>> naca4(0.02, 0.4, 0.12)[[0, -1]].tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    if not (0 <= camber < 0.5 and 0 < position < 1 and 0 < thickness < 1 and count >= 5):
        raise MeshError(
            f"NACA aerofoil with camber {camber}, position {position}, thickness {thickness}, count {count}: expected "
            "fractions of the chord (0.02, 0.4, 0.12) and at least 5 points."
        )
    x = 0.5 * (1 - np.cos(np.linspace(0, np.pi, count)))
    half = 5 * thickness * (0.2969 * np.sqrt(x) + x * (-0.1260 + x * (-0.3516 + x * (0.2843 - x * 0.1036))))
    half[-1] = 0.0  # the coefficients sum to zero up to rounding
    m, p = camber, position
    front = x < p
    height = np.where(front, m / p**2 * (2 * p * x - x**2), m / (1 - p) ** 2 * (1 - 2 * p + 2 * p * x - x**2))
    slope = np.where(front, 2 * m / p**2 * (p - x), 2 * m / (1 - p) ** 2 * (p - x))
    height[-1] = 0.0
    normal = np.column_stack([-slope, np.ones_like(x)]) / np.sqrt(1 + slope**2)[:, None]
    middle = np.column_stack([x, height])
    upper, lower = middle + half[:, None] * normal, middle - half[:, None] * normal
    return np.concatenate([upper[::-1], lower[1:]])


def aerofoil_exterior(
    contour: ArrayLike,
    size: float = 0.03,
    edge_size: float = 0.008,
    radius: float = 10.0,
    growth: float = 0.2,
    seed: int = 0,
) -> Mesh:
    """Triangles between an aerofoil and a circle around it.

    Parameters
    ----------
    contour
        Points ``(k, 2)`` from the trailing edge around the body and back to it, such as `naca4`.
    size, edge_size
        Edge lengths along the contour, and at its leading and trailing edge.
    radius
        Of the outer circle about the middle of the chord, in the unit of the contour.
    growth
        Increase of the edge length for every unit of distance from the contour.
    seed
        See `triangulate`.

    Returns
    -------
    Mesh
        Facet and node sets "wall", "inlet" (upstream half of the circle) and "outlet".

    Raises
    ------
    MeshError
        A contour that does not return to its start, crosses itself or reaches the circle.

    Examples
    --------
    >>> mesh = aerofoil_exterior(naca4(0.02, 0.4, 0.12), size=0.1, edge_size=0.03, radius=3.0)
    >>> sorted(mesh.node_sets)
    ['inlet', 'outlet', 'wall']
    """
    body = np.asarray(contour, dtype=np.float64)
    if body.ndim != 2 or body.shape[1] != 2 or len(body) < 5:
        raise MeshError(f"contour {body.shape}: expected at least five points (k, 2) around the body.")
    nose = int(np.linalg.norm(body - body[0], axis=1).argmax())
    edges = body[[0, nose]]
    center = edges.mean(axis=0)
    if np.linalg.norm(body - center, axis=1).max() >= radius:
        raise MeshError(f"radius {radius}: the contour reaches beyond it; expected several chords.")
    wall = Loop(("wall", "wall"), (body[: nose + 1], body[nose:]))
    around = Loop.of(
        {
            "outlet": arc(center, (radius, radius), -np.pi / 2, np.pi / 2),
            "inlet": arc(center, (radius, radius), np.pi / 2, 3 * np.pi / 2),
        }
    )
    largest = max(size, growth * radius)
    along = GradedSize(_dense(body, size), size, largest, growth)
    at_edges = GradedSize(edges, edge_size, largest, growth)
    return triangulate([around, wall], lambda x: np.minimum(along(x), at_edges(x)), seed)


def _dense(curve: Array, spacing: float) -> Array:
    """Points along a curve no further apart than half the spacing."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], int(np.ceil(2 * length[-1] / spacing)) + 1)
    return np.column_stack([np.interp(at, length, curve[:, axis]) for axis in (0, 1)])
