"""Solid parts: an L-shaped bracket by extrusion, a twisted blade by mapping a box."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshes.errors import MeshError
from meshes.generate.extrusion import extrude
from meshes.generate.outline import Loop, arc, circle
from meshes.generate.simplices import to_simplices
from meshes.generate.size import GradedSize
from meshes.generate.structured import structured_grid
from meshes.generate.triangulation import triangulate
from meshes.geometry import cell_volumes
from meshes.mesh import Mesh

__all__ = ["blade", "blade_points", "bracket"]

Array = NDArray[Any]


def bracket(
    legs: tuple[float, float] = (60.0, 50.0),
    thickness: float = 12.0,
    width: float = 20.0,
    fillet: float = 8.0,
    hole: float = 3.0,
    size: float = 4.0,
    seed: int = 0,
) -> Mesh:
    """Tetrahedra in an L-shaped bracket with a fillet and a hole through its horizontal leg (genus 1).

    The profile in the plane x, y has legs along both axes; it is extruded by the width along z. The hole goes along z
    through the middle of the horizontal leg's outer end.

    Parameters
    ----------
    legs
        Outer lengths along x and y.
    thickness, width
        Of the legs in the plane, and along z.
    fillet, hole
        Radii.
    size
        Wanted edge length; smaller at hole and fillet where they need it.
    seed
        See `triangulate`.

    Returns
    -------
    Mesh
        Facet and node sets "base" (y = 0), "end" (of the leg along x), "inside" (with the fillet), "top" (end of the
        leg along y), "rear" (x = 0), "hole", "back" and "front" (both ends along z).

    Raises
    ------
    MeshError
        Lengths that do not fit each other.

    Examples
    --------
    >>> sorted(bracket(size=8.0).facet_sets)
    ['back', 'base', 'end', 'front', 'hole', 'inside', 'rear', 'top']
    """
    (a, b), t, r = legs, thickness, fillet
    if not (t > 0 and r > 0 and width > 0 and size > 0 and t + r < min(a, b) and 0 < hole < 0.5 * t):
        raise MeshError(
            f"bracket with legs {legs}, thickness {t}, width {width}, fillet {r}, hole {hole}, size {size}: expected "
            "positive lengths, thickness + fillet below both legs, and a hole's radius below half the thickness."
        )
    names = ("base", "end", "inside", "inside", "inside", "top", "rear")
    turn = arc([t + r, t + r], (r, r), 1.5 * np.pi, np.pi)
    corners = [[0, 0], [a, 0], [a, t], turn[0], turn[-1], [t, b], [0, b], [0, 0]]
    sides = [np.array(pair, dtype=np.float64) for pair in pairwise(corners)]
    sides[3] = turn
    ring = circle([a - t, 0.5 * t], hole, "hole")
    # At least 12 edges around the hole and 4 along the fillet.
    at_hole = GradedSize(ring.points, min(size, np.pi / 6 * hole), size, 0.3)
    at_fillet = GradedSize(turn, min(size, np.pi / 8 * r), size, 0.3)
    profile = triangulate([Loop(names, tuple(sides)), ring], lambda x: np.minimum(at_hole(x), at_fillet(x)), seed)
    return to_simplices(extrude(profile, np.linspace(0.0, width, max(1, round(width / size)) + 1)))


def blade(
    length: float = 100.0,
    chord: float = 40.0,
    thickness: float = 4.0,
    twist: float = 0.5,
    taper: float = 0.3,
    bend: tuple[float, float] = (5.0, 5.0),
    divisions: tuple[int, int, int] = (24, 10, 3),
) -> Mesh:
    """Hexahedra in a twisted, tapered blade: the image of a box.

    Where a point of the box [0, 1] × [−½, ½]² goes is told by `blade_points`.

    Parameters
    ----------
    length, chord, thickness
        At the root.
    twist
        Of the tip, in radian.
    taper
        Share of the chord that is lost at the tip, below 1.
    bend
        Displacement of the tip in y and z.
    divisions
        Cells along X, Y, Z.

    Returns
    -------
    Mesh
        Facet and node sets "root", "tip", "leading", "trailing", "pressure" (Z = ½) and "suction".

    Raises
    ------
    MeshError
        Lengths or divisions that are not positive, a taper of 1 or more, or a shape whose cells fold over.

    Examples
    --------
    >>> blade(divisions=(6, 4, 1))
    Mesh: 70 points in 3-D, 24 hexahedrons
      node sets: root (10), tip (10), leading (14), trailing (14), suction (35), pressure (35)
      facet sets: root (4), tip (4), leading (6), trailing (6), suction (24), pressure (24)
    """
    if not (min(length, chord, thickness) > 0 and taper < 1 and min(divisions) >= 1):
        raise MeshError(
            f"blade of length {length}, chord {chord}, thickness {thickness}, taper {taper}, divisions {divisions}: "
            "expected positive lengths and divisions, and a taper below 1."
        )
    i, j, k = divisions
    box = structured_grid(np.linspace(0, 1, i + 1), np.linspace(-0.5, 0.5, j + 1), np.linspace(-0.5, 0.5, k + 1))
    points = blade_points(box.points, length, chord, thickness, twist, taper, bend)
    names = {
        "left": "root",
        "right": "tip",
        "bottom": "leading",
        "top": "trailing",
        "back": "suction",
        "front": "pressure",
    }
    mesh = Mesh(
        points,
        box.cells,
        node_sets={names[name]: ids for name, ids in box.node_sets.items()},
        facet_sets={names[name]: parts for name, parts in box.facet_sets.items()},
    )
    folded = int((cell_volumes(mesh)["hexahedron"] <= 0).sum())
    if folded:
        raise MeshError(f"blade: {folded} of {mesh.cell_count} cells fold over; lower the twist or refine along X.")
    return mesh


def blade_points(
    box: ArrayLike,
    length: float = 100.0,
    chord: float = 40.0,
    thickness: float = 4.0,
    twist: float = 0.5,
    taper: float = 0.3,
    bend: tuple[float, float] = (5.0, 5.0),
) -> Array:
    """The places ``(n, 3)`` in a blade of points ``(n, 3)`` of the box [0, 1] × [−½, ½]².

    With X in [0, 1], Y and Z in [−½, ½]: x = length · X, and (y, z) is (c Y, t Z), turned by twist · X and moved by
    bend · X², where c = chord (1 − taper X) and t = thickness (1 − X/2) (1 − 0.9 (2 Y)²). Parameters as in `blade`.

    Examples
    --------
    >>> blade_points([[0.0, 0.5, 0.0], [1.0, 0.0, 0.5]], twist=0.0).tolist()
    [[0.0, 20.0, 0.0], [100.0, 5.0, 6.0]]
    """
    X, Y, Z = np.asarray(box, dtype=np.float64).T
    y = chord * (1 - taper * X) * Y
    z = thickness * (1 - 0.5 * X) * (1 - 0.9 * (2 * Y) ** 2) * Z
    cos, sin = np.cos(twist * X), np.sin(twist * X)
    return np.column_stack([length * X, cos * y - sin * z + bend[0] * X**2, sin * y + cos * z + bend[1] * X**2])
