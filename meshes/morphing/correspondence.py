"""Which boundary point of a reference mesh belongs to which boundary node of a mesh, in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from meshes.morphing.circle import arc_parameters, start_at
from meshes.morphing.surfaces import boundary_loops
from meshes.topology import boundary_facets

__all__ = ["boundary_targets", "loop_targets"]

Array = NDArray[Any]
_SAMPLES = 256


def boundary_targets(mesh: Mesh, reference: Mesh, landmarks: Sequence[str] = ()) -> tuple[Array, Array]:
    """Boundary nodes of a plane mesh and their places on the boundary of a reference: what a volume morphing needs.

    Outer boundary goes to outer boundary, each hole to the one that lies most alike in its mesh. Along a loop, nodes
    are placed by arc length, piece by piece between landmarks; on a loop without any, the starting point is the one
    that brings both loops closest, their centres on top of each other.

    Parameters
    ----------
    mesh, reference
        Triangles or quadrilaterals in the plane with equally many holes; the cells are counterclockwise.
    landmarks
        Names of node sets of one boundary node each, in both meshes. On each loop they must be met in this order, with
        the material on the left.

    Returns
    -------
    nodes, targets
        ``(m,)`` and ``(m, 2)``, for `HarmonicMorphing`, `ElasticMorphing` or `RadialBasisMorphing`.

    Raises
    ------
    MeshError
        The meshes are not in the plane, or lack a landmark.
    MorphingError
        Different numbers of holes; landmarks out of order, not on the boundary, or on loops that do not correspond.

    Examples
    --------
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}, node_sets={"foot": [0]})
    >>> nodes, targets = boundary_targets(square, square.with_points(square.points * [3.0, 1.0]), ("foot",))
    >>> dict(zip(nodes.tolist(), targets.round(3).tolist()))
    {0: [0.0, 0.0], 1: [2.0, 0.0], 2: [3.0, 1.0], 3: [1.0, 1.0]}
    """
    ours, theirs = _loops(mesh), _loops(reference)
    if len(ours) != len(theirs):
        raise MorphingError(
            f"the mesh has {len(ours) - 1} holes, the reference {len(theirs) - 1}: expected the same topology; take a "
            "reference with as many."
        )
    partner = _partners(_places(mesh, ours), _places(reference, theirs))
    nodes, targets, met = [], [], []
    for loop, other in zip(ours, (theirs[i] for i in partner), strict=True):
        own = [name for name in landmarks if len(mesh.node_set(name)) and mesh.node_set(name)[0] in loop]
        met += own
        loop, placed = loop_targets(mesh, loop, reference, other, own)
        nodes.append(loop)
        targets.append(placed)
    missing = [name for name in landmarks if name not in met]
    if missing:
        raise MorphingError(
            f"landmarks {', '.join(missing)} are not on the boundary of the mesh: expected boundary nodes."
        )
    return np.concatenate(nodes), np.concatenate(targets)


def loop_targets(
    mesh: Mesh, loop: Array, reference: Mesh, other: Array, landmarks: Sequence[str] = ()
) -> tuple[Array, Array]:
    """Nodes ``(m,)`` of a boundary loop and their places ``(m, dim)`` on a loop of the reference, in any dimension.

    By arc length, piece by piece between the landmarks of the loop; without any, from where both loops are closest.

    Parameters
    ----------
    loop, other
        Node numbers in order, both with the material on the same side.
    landmarks
        Node sets of one node of the loop each, in both meshes.

    Raises
    ------
    MeshError, MorphingError
        Landmarks that are missing or out of order.

    Examples
    --------
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> loop = np.arange(4)
    >>> loop_targets(square, loop, square.with_points(square.points + 3.0), loop)[1].round(6).tolist()
    [[3.0, 3.0], [4.0, 3.0], [4.0, 4.0], [3.0, 4.0]]
    """
    if landmarks:
        placed, loop = _between_landmarks(mesh, loop, reference, other, landmarks)
        return loop, placed
    return loop, _registered(mesh.points[loop].astype(np.float64), reference.points[other].astype(np.float64))


def _loops(mesh: Mesh) -> list[Array]:
    """Boundary loops, the outer one first."""
    facets = boundary_facets(mesh) if mesh.space_dimension == mesh.dimension == 2 else {}
    if list(facets) != ["line"]:
        raise MeshError(
            f"the mesh has {mesh.dimension}-D cells ({', '.join(mesh.blocks()) or 'none'}) in {mesh.space_dimension}-D "
            "space: expected triangles or quadrilaterals in the plane; in space, give control nodes and targets."
        )
    loops = boundary_loops(facets["line"])
    areas = [_area(mesh.points[loop]) for loop in loops]
    outer = [i for i, area in enumerate(areas) if area > 0]
    if len(outer) != 1:
        raise MorphingError(
            f"{len(outer)} outer boundaries among {len(loops)} loops: expected one connected part with "
            "counterclockwise cells; see meshes.repair_mesh and meshes.subset."
        )
    return [loops[outer[0]], *(loop for i, loop in enumerate(loops) if i != outer[0])]


def _places(mesh: Mesh, loops: list[Array]) -> Array:
    """Centre of each loop in the box of the outer one."""
    low, high = mesh.points[loops[0]].min(axis=0), mesh.points[loops[0]].max(axis=0)
    return np.stack([(_sampled(mesh.points[loop], _even(64)).mean(axis=0) - low) / (high - low) for loop in loops])


def _partners(ours: Array, theirs: Array) -> Array:
    """The outer loop's partner is the outer loop; holes are paired at least total distance."""
    from scipy.optimize import linear_sum_assignment

    distances = np.linalg.norm(ours[1:, None] - theirs[None, 1:], axis=2)
    _, found = linear_sum_assignment(distances)
    return np.concatenate([[0], found + 1]).astype(np.int64)


def _between_landmarks(
    mesh: Mesh, loop: Array, reference: Mesh, other: Array, names: Sequence[str]
) -> tuple[Array, Array]:
    """Targets of the nodes of a loop, and the loop from its first landmark on."""
    loop, anchors = start_at(mesh, loop, names)
    other, stations = start_at(reference, other, names)
    s, t = _arc(mesh.points[loop]), _arc(reference.points[other])
    place = np.interp(s[:-1], [*s[anchors], 1.0], [*t[stations], 1.0])
    return _sampled(reference.points[other], place), loop


def _registered(x: Array, y: Array) -> Array:
    """Targets of the nodes x of a loop on the loop y, which starts where both, centred, are closest to each other."""
    from scipy.optimize import minimize_scalar

    even = _even(_SAMPLES)
    a, b = _sampled(x, even), _sampled(y, even)
    a = a - a.mean(axis=0)
    centre = b.mean(axis=0)

    def distance(start: float) -> float:
        return float(((a - (_sampled(y, (even + start) % 1) - centre)) ** 2).sum())

    coarse = min(even, key=distance)
    found = minimize_scalar(distance, bounds=(coarse - 1 / _SAMPLES, coarse + 1 / _SAMPLES), options={"xatol": 1e-12})
    return _sampled(y, (_arc(x)[:-1] + found.x) % 1)


def _sampled(loop: Array, shares: Array) -> Array:
    """Points of a closed polygon at shares of its perimeter."""
    closed = np.concatenate([loop, loop[:1]])
    s = _arc(loop)
    return np.stack([np.interp(shares, s, coordinate) for coordinate in closed.T], axis=1)


def _arc(loop: Array) -> Array:
    return arc_parameters(torch.from_numpy(loop.astype(np.float64)), torch.arange(len(loop))).numpy()


def _even(count: int) -> Array:
    return np.arange(count) / count


def _area(loop: Array) -> float:
    x, y = loop.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
