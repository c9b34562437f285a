"""Meshes of square plates, fine at their notches and holes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes import Mesh, triangulate
from meshes.generate import EllipticNotch, GradedSize, Loop, WedgeNotch, plate_outline
from meshes.renumbering import renumbered

__all__ = ["CORNERS", "NOTCH_ENDS", "notched_plate", "perforated_plate"]

Array = NDArray[Any]
Notch = EllipticNotch | WedgeNotch

#: Corners of the plate [−1, 1]², counterclockwise.
CORNERS = {
    "corner_bottom_left": (-1.0, -1.0),
    "corner_bottom_right": (1.0, -1.0),
    "corner_top_right": (1.0, 1.0),
    "corner_top_left": (-1.0, 1.0),
}
#: Where the notches meet the sides, counterclockwise: side, and whether above the middle of the notch.
NOTCH_ENDS = {
    "notch_right_lower": ("right", -1.0),
    "notch_right_upper": ("right", 1.0),
    "notch_left_upper": ("left", 1.0),
    "notch_left_lower": ("left", -1.0),
}
#: Edge lengths grow with the distance to the notches by 5 h₀ a mm, up to 4.5 h₀.
_GROWTH, _COARSEST = 5.0, 4.5
#: The share of the wanted size that a mesh has is drawn between these, so that no two meshes have equally many nodes.
_SIZES = (0.85, 1.2)
_ITERATIONS = 35


def notched_plate(notches: Sequence[Notch], size: float, seed: int) -> Mesh:
    """[−1, 1]² mm without its notches, one on the left and one on the right; nodes are numbered at random.

    Parameters
    ----------
    notches
        Their sides are "left" and "right".
    size
        Usual edge length h₀ at the notches, mm; the mesh's own is 0.85 to 1.2 times that.
    seed
        Of the size, the nodes inside and their numbers.

    Returns
    -------
    Mesh
        Facet and node sets "bottom", "right", "top", "left", "notch"; the node sets `CORNERS` and `NOTCH_ENDS`.
    """
    outline = plate_outline(2.0, 2.0, notches)
    curves = [piece for name, piece in zip(outline.names, outline.pieces, strict=True) if name == "notch"]
    of_side = {notch.side: notch for notch in notches}
    ends = {
        name: (1.0 if side == "right" else -1.0, of_side[side].at + up * of_side[side].half_width)
        for name, (side, up) in NOTCH_ENDS.items()
    }
    return _meshed([outline], curves, CORNERS | ends, size, seed)


def perforated_plate(hole: Loop, size: float, seed: int) -> Mesh:
    """[−1, 1]² mm without a hole; otherwise as `notched_plate`, with the facet and node set of the hole's name."""
    return _meshed([plate_outline(2.0, 2.0), hole], hole.pieces, CORNERS, size, seed)


def _meshed(
    loops: list[Loop],
    curves: Sequence[Array],
    landmarks: Mapping[str, tuple[float, float]],
    size: float,
    seed: int,
) -> Mesh:
    rng = np.random.default_rng(seed)
    h = size * rng.uniform(*_SIZES)
    fine = np.concatenate([_spaced(curve, h / 4) for curve in curves])
    graded = GradedSize(fine, smallest=h, largest=_COARSEST * h, growth=_GROWTH * h)
    mesh = triangulate(loops, graded, seed=int(rng.integers(2**31)), iterations=_ITERATIONS)
    mesh = renumbered(mesh, rng.permutation(len(mesh.points)))
    found = {name: [int(np.linalg.norm(mesh.points - place, axis=1).argmin())] for name, place in landmarks.items()}
    return replace(mesh, node_sets={**mesh.node_sets, **{name: np.array(node) for name, node in found.items()}})


def _spaced(curve: Array, spacing: float) -> Array:
    """Points along a curve ``(k, 2)``, no further apart: as many as the distance to it needs, which is asked often."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], int(np.ceil(length[-1] / spacing)) + 1)
    return np.column_stack([np.interp(at, length, curve[:, axis]) for axis in (0, 1)])
