"""Where the boundary nodes of a disc go on the circle: by arc length, between landmarks whose angles are prescribed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import tau
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing.surfaces import disc

__all__ = ["arc_parameters", "circle_angles", "mark_corners", "mean_landmark_angles", "start_at", "stations"]

Array = NDArray[Any]


def arc_parameters(points: Tensor, loop: Tensor) -> Tensor:
    """Arc length from the first node of a closed loop, as a share of the whole perimeter; differentiable.

    Parameters
    ----------
    points
        ``(*batch, n, dim)``.
    loop
        Node numbers ``(m,)`` in order.

    Returns
    -------
    Tensor
        ``(*batch, m + 1)``, rising from 0; the last step is the closing edge and ends at 1.

    Examples
    --------
    >>> square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    >>> arc_parameters(square, torch.arange(4)).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    corners = points[..., loop, :]
    steps = (corners.roll(-1, dims=-2) - corners).norm(dim=-1)
    reached = torch.cumsum(steps, dim=-1)
    shares = reached / reached[..., -1:]
    return torch.cat([torch.zeros_like(shares[..., :1]), shares], dim=-1)


def circle_angles(points: Tensor, loop: Tensor, anchors: Sequence[int], angles: Sequence[float]) -> Tensor:
    """Angles ``(*batch, m)`` of the nodes of a loop: prescribed at its anchors, linear in arc length between them.

    Parameters
    ----------
    points, loop
        As in `arc_parameters`.
    anchors
        Places of the landmarks in the loop; the first is 0, and they rise.
    angles
        Their angles in radians, rising by less than a full turn.

    Examples
    --------
    >>> square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    >>> circle_angles(square, torch.arange(4), [0, 2], [0.0, 2.0])  # three remaining quarters for the last two sides
    tensor([0.0000, 1.0000, 2.0000, 4.1416])
    """
    s = arc_parameters(points, loop)
    ends = torch.tensor([*anchors, len(loop)])
    turned = torch.tensor([*angles, angles[0] + tau], dtype=s.dtype)
    piece = torch.searchsorted(ends, torch.arange(len(loop)), right=True) - 1
    begin, end = s[..., ends[piece]], s[..., ends[piece + 1]]
    share = (s[..., :-1] - begin) / (end - begin)
    return turned[piece] + share * (turned[piece + 1] - turned[piece])


def mean_landmark_angles(meshes: Iterable[Mesh], landmarks: Sequence[str]) -> tuple[float, ...]:
    """Mean over meshes of the angles of their landmarks by arc length, the first at 0: for a whole family of shapes.

    Raises
    ------
    MeshError, MorphingError
        As `start_at`, or there is no mesh.
    """
    rows = []
    for mesh in meshes:
        _, loop = disc(mesh)
        loop, anchors = start_at(mesh, loop, landmarks)
        s = arc_parameters(torch.from_numpy(mesh.points.astype(np.float64)), torch.from_numpy(loop))
        rows.append([tau * float(s[place]) for place in anchors])
    if not rows:
        raise MorphingError("mean angles of the landmarks of no meshes: expected at least one.")
    return tuple(float(angle) for angle in np.mean(rows, axis=0))


def mark_corners(mesh: Mesh, degrees: float = 25.0) -> Mesh:
    """The mesh with node sets "corner_0", "corner_1", ...: boundary nodes of a disc where its boundary turns sharply.

    They follow the boundary with the surface on the left, from the one nearest to the low end of the bounding box:
    fit as landmarks of shapes that have equally many corners and similar orientation.

    Parameters
    ----------
    degrees
        Turning angles above this make a corner.

    Raises
    ------
    MorphingError
        There is no corner, or the surface is not a disc.
    """
    _, loop = disc(mesh)
    x = mesh.points[loop].astype(np.float64)
    step = np.roll(x, -1, axis=0) - x
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    turning = np.degrees(np.arccos(np.clip((step * np.roll(step, 1, axis=0)).sum(axis=1), -1, 1)))
    sharp = np.flatnonzero(turning > degrees)
    if not len(sharp):
        raise MorphingError(
            f"the boundary turns by at most {turning.max():.3g}° at a node: expected a corner of more than "
            f"{degrees:g}°; lower the limit, or name landmarks in the mesh's node sets."
        )
    first = int(np.argmin(x[sharp].sum(axis=1)))
    nodes = loop[np.roll(sharp, -first)]
    return replace(mesh, node_sets={**mesh.node_sets, **{f"corner_{i}": nodes[i : i + 1] for i in range(len(nodes))}})


def start_at(mesh: Mesh, loop: Array, landmarks: Sequence[str]) -> tuple[Array, list[int]]:
    """Turn a loop so that it starts at the first landmark, and find the places of all of them in it.

    Without landmarks it starts at the node farthest from the mean of the surface's boundary, weighted by length: the
    same place in every mesh of a shape without symmetry.

    Raises
    ------
    MeshError
        A landmark is not a node set of the mesh.
    MorphingError
        A landmark is not one node of the boundary, or they come in another order.
    """
    if not landmarks:
        return np.roll(loop, -_farthest(mesh.points[loop].astype(np.float64))), [0]
    places = [_place(mesh, loop, name) for name in landmarks]
    anchors = [(place - places[0]) % len(loop) for place in places]
    if any(b <= a for a, b in pairwise(anchors)):
        found = [landmarks[i] for i in np.argsort(anchors, kind="stable")]
        raise MorphingError(
            f"landmarks {', '.join(landmarks)}: with the surface on its left the boundary meets them in the order "
            f"{', '.join(found)}; list them so, each at its own node (a mirrored part has the opposite order)."
        )
    return np.roll(loop, -places[0]), anchors


def stations(angles: Sequence[float], landmarks: Sequence[str]) -> tuple[float, ...]:
    """The prescribed angles, if they fit the landmarks.

    Raises
    ------
    MorphingError
        Their number differs, or they do not rise by less than a turn.
    """
    if len(angles) != len(landmarks):
        raise MorphingError(f"{len(angles)} angles for {len(landmarks)} landmarks: expected one for each.")
    if any(not b > a for a, b in pairwise([*angles, angles[0] + tau])):
        shown = ", ".join(f"{angle:.4g}" for angle in angles)
        raise MorphingError(f"landmark angles {shown}: expected them to rise, by less than 2π from first to last.")
    return tuple(angles)


def _place(mesh: Mesh, loop: Array, name: str) -> int:
    nodes = mesh.node_set(name)
    if len(nodes) != 1:
        raise MorphingError(f"landmark {name!r} has {len(nodes)} nodes: expected a node set of one boundary node.")
    place = np.flatnonzero(loop == nodes[0])
    if not len(place):
        raise MorphingError(
            f"landmark {name!r}, node {nodes[0]}, is not on the boundary: expected one of its {len(loop)} nodes, such "
            f"as the nearest, {loop[np.linalg.norm(mesh.points[loop] - mesh.points[nodes[0]], axis=1).argmin()]}."
        )
    return int(place[0])


def _farthest(x: Array) -> int:
    following = np.roll(x, -1, axis=0)
    lengths = np.linalg.norm(following - x, axis=1, keepdims=True)
    centre = (lengths * (x + following) / 2).sum(axis=0) / lengths.sum()
    return int(np.linalg.norm(x - centre, axis=1).argmax())
