"""A face flattened onto a regular polygon, its corners at the polygon's."""

from __future__ import annotations

from dataclasses import replace
from math import tau
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing import circle_angles, harmonic_weights, mean_value_weights, tutte_embedding
from meshes.morphing.circle import start_at
from meshes.morphing.folds import folds_between
from meshes.morphing.surfaces import disc
from sciml.learners.mmgp.morphed import Morphed, bare
from sciml.learners.mmgp.rims import Rim
from solvers import SolveError

__all__ = ["polygon_chart"]

Array = NDArray[Any]


def polygon_chart(face: Mesh, corners: tuple[str, ...]) -> Morphed:
    """Flatten a surface of triangles onto the regular polygon with as many vertices as it has corners.

    Edges by arc length, the inside by harmonic weights, or by mean-value weights where these fold a triangle. Affine
    images of one another have one chart if their sides are straight: a disc would not do that.

    Parameters
    ----------
    face
        In space; its node sets hold the corners.
    corners
        At least three names in the order of the boundary, the surface on its left.

    Raises
    ------
    MorphingError
        Fewer corners, corners out of order, or triangles that collapse (an edge between two nodes of one side).

    Examples
    --------
    >>> square = [[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]]
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> face = Mesh(square, fan, node_sets={name: [i] for i, name in enumerate("abcd")})
    >>> (polygon_chart(face, tuple("abcd")).mesh.points.round(9) + 0.0).tolist()[1:]
    [[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]
    """
    if len(corners) < 3:
        raise MorphingError(f"a polygon of {len(corners)} corners: expected three or more.")
    triangles, loop = disc(face)
    loop, anchors = start_at(face, loop, corners)
    points = torch.from_numpy(face.points.astype(np.float64))
    turns = [tau * i / len(corners) for i in range(len(corners))]
    places = circle_angles(points, torch.from_numpy(loop), anchors, turns).numpy() * (len(corners) / tau)
    rim = torch.from_numpy(_on_polygon(places, len(corners)))
    for weights in (harmonic_weights, mean_value_weights):
        try:
            u = tutte_embedding(points, torch.from_numpy(triangles), torch.from_numpy(loop), rim, weights)
        except SolveError:
            continue
        flat = replace(bare(face, u.numpy()), cells={"triangle": triangles})
        folds = folds_between(face, flat)
        if not folds.count:
            return Morphed(flat, (Rim(loop, places, float(len(corners))),))
    raise MorphingError(f"triangles collapse on the polygon of {', '.join(corners)}: expected none to.")


def _on_polygon(places: Array, count: int) -> Array:
    """Points ``(m, 2)`` at places along a regular polygon whose sides have length one in them."""
    angle = tau * np.arange(count + 1) / count
    vertices = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    side = np.clip(np.floor(places).astype(np.int64), 0, count - 1)
    share = (places - side)[:, None]
    return (1 - share) * vertices[side] + share * vertices[side + 1]
