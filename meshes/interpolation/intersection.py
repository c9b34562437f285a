"""L2 projection by exact intersection of the triangles of two plane meshes: best approximation and conservation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.cell_types import cell_type
from meshes.errors import MeshError
from meshes.geometry import cell_volumes
from meshes.interpolation.cell_locator import CellLocator, Location
from meshes.interpolation.projection import L2Projection, projection_by_points
from meshes.interpolation.quadrature import reference_quadrature
from meshes.mesh import Mesh

__all__ = ["intersection_projection"]

Array = NDArray[Any]


def intersection_projection(
    source: Mesh | CellLocator, target: Mesh | CellLocator, uncovered: float = 1e-9
) -> L2Projection:
    """The L2 projection with B integrated exactly, on the intersections of the cells of both meshes.

    Exact for every field that both meshes represent, and 1ᵀ M g = ∫ f to rounding: no choice between
    `l2_projection` and `conservative_projection` is needed.

    Parameters
    ----------
    source, target
        Meshes of triangles in the plane, linear or quadratic (others: `to_simplices`), that cover one domain, or
        locators built for them.
    uncovered
        Share of either area that the other mesh may leave uncovered; what lies there does not contribute.

    Raises
    ------
    MeshError
        Other cells, or domains that differ by more.

    Examples
    --------
    >>> import torch
    >>> points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> one = Mesh(points, {"triangle": [[0, 1, 2], [0, 2, 3]]})
    >>> other = Mesh(points, {"triangle": [[0, 1, 3], [1, 2, 3]]})
    >>> projection = intersection_projection(one, other)
    >>> g = projection(torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    >>> round(float(projection.mass.mv(g).sum()), 12) == round(1 / 3, 12)
    True
    """
    from meshes.interpolation.box_tree import box_tree
    from meshes.interpolation.location_loops import cell_boxes
    from meshes.interpolation.overlap_loops import overlaps

    on, off = (mesh if isinstance(mesh, CellLocator) else CellLocator(mesh) for mesh in (target, source))
    (cells, area), (other, other_area) = _triangles(on), _triangles(off)
    tree = box_tree(*cell_boxes(off.points, other, 0.0))
    triangles, here, there = overlaps(on.points, cells, off.points, other, tree)
    u, v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    twice = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    solid = twice > 0.0  # triangles that only touch have nothing in common
    triangles, twice, here, there = triangles[solid], twice[solid], here[solid], there[solid]
    share = 0.5 * float(twice.sum()) / max(area, other_area)
    if not share > 1 - uncovered:
        raise MeshError(
            f"the meshes share {share:.6g} of their area only, expected at least 1 − {uncovered:.3g}: check that both "
            "describe one domain, or allow more by `uncovered`."
        )
    degree = sum(2 if "triangle6" in locator.kinds else 1 for locator in (on, off))
    xi, weights = reference_quadrature("triangle", degree)
    corner_weights = np.column_stack([1 - xi.sum(axis=1), xi])
    points = np.einsum("qv,kvd->kqd", corner_weights, triangles).reshape(-1, 2)
    measure = (twice[:, None] * weights).ravel()
    places = [
        Location(cell, locator.coordinates_in(cell, points), np.zeros(len(points)))
        for locator, cell in ((on, np.repeat(here, len(weights))), (off, np.repeat(there, len(weights))))
    ]
    return projection_by_points(on, places[0], measure, off, places[1])


def _triangles(locator: CellLocator) -> tuple[Array, float]:
    """Vertices ``(k, 3)`` of all cells, and the area of the mesh."""
    mesh = locator.mesh
    if mesh.space_dimension != 2 or {cell_type(kind).linear for kind in locator.kinds} != {"triangle"}:
        raise MeshError(
            f"intersections are made of triangles in the plane; the mesh has {', '.join(locator.kinds)} in "
            f"{mesh.space_dimension}-D: use to_simplices, l2_projection or conservative_projection."
        )
    return locator.vertices[:, :3], float(sum(np.abs(v).sum() for v in cell_volumes(mesh).values()))
