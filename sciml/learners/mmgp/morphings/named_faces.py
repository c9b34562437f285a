"""The named faces of a solid's surface, with the corners where they meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from meshes.morphing.surfaces import disc, surface
from meshes.topology import boundary_facets, match_rows, restrict

__all__ = ["Face", "FaceRim", "named_faces"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class FaceRim:
    """A closed curve that bounds a face.

    Attributes
    ----------
    loop
        Nodes ``(m,)`` of the face's mesh in order, the face on the left.
    neighbours
        Names of the faces on the other side.
    corners
        Names of the corners on it, in order.
    """

    loop: Array
    neighbours: frozenset[str]
    corners: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Face:
    """A face as a mesh of triangles in space.

    Attributes
    ----------
    mesh
        Its triangles, outward.
    nodes
        Numbers ``(m,)`` of its nodes in the solid's mesh.
    corners
        Name of each corner to its node in `mesh`, in the order of the face's boundary: the names of the faces that
        meet there, or the name of a landmark.
    rims
        Its boundary: one curve around a disc, more if the face has holes or is a tube.
    """

    mesh: Mesh
    nodes: Array
    corners: dict[str, int]
    rims: tuple[FaceRim, ...]

    def with_corners(self) -> Mesh:
        """The mesh with a node set for each corner."""
        return replace(self.mesh, node_sets={name: np.array([node]) for name, node in self.corners.items()})


def named_faces(mesh: Mesh, faces: tuple[str, ...], landmarks: tuple[str, ...]) -> dict[str, Face]:
    """The faces of a solid by name.

    Raises
    ------
    MeshError
        A name is no facet set.
    MorphingError
        The facet sets do not cover the surface or overlap, a face is closed or in several parts, or two corners join
        the same faces.
    """
    pieces = _pieces(mesh, faces)
    member = np.zeros((len(faces), len(mesh.points)), dtype=bool)
    for row, triangles in zip(member, pieces.values(), strict=True):
        row[triangles] = True
    corners = _corners(mesh, faces, member, landmarks)
    return {name: _face(mesh, name, triangles, corners, faces, member) for name, triangles in pieces.items()}


def _pieces(mesh: Mesh, faces: tuple[str, ...]) -> dict[str, Array]:
    """Triangles ``(k, 3)`` of each face, outward."""
    count = 0
    pieces: dict[str, list[Array]] = {name: [] for name in faces}
    for kind, skin in boundary_facets(mesh).items():
        if kind not in ("triangle", "quad"):
            raise MeshError(f"boundary facets of type {kind!r}: expected tetrahedra or hexahedra of degree one.")
        owners = np.zeros(len(skin), dtype=np.int64)
        for name in faces:
            named = mesh.facet_set(name).get(kind, np.zeros((0, skin.shape[1]), dtype=np.int64))
            place = match_rows(np.sort(skin, axis=1), np.sort(named, axis=1))
            if (place < 0).any():
                raise MorphingError(f"face {name!r}: {int((place < 0).sum())} of its {kind}s are not on the surface.")
            owners[place] += 1
            own = skin[place]
            pieces[name].append(own if kind == "triangle" else np.concatenate([own[:, [0, 1, 2]], own[:, [0, 2, 3]]]))
        count += len(skin)
        if (owners != 1).any():
            raise MorphingError(
                f"{int((owners == 0).sum())} of {len(skin)} {kind}s of the surface are in none of the faces "
                f"{', '.join(faces)}, {int((owners > 1).sum())} in several: expected each in one; name the facet sets "
                "that make up the surface."
            )
    return {name: np.concatenate(parts) for name, parts in pieces.items()}


def _corners(mesh: Mesh, faces: tuple[str, ...], member: Array, landmarks: tuple[str, ...]) -> dict[str, int]:
    """Nodes where three faces meet, and landmarks, by name."""
    corners: dict[str, int] = {}
    for node in np.flatnonzero(member.sum(axis=0) >= 3).tolist():
        name = " & ".join(faces[i] for i in np.flatnonzero(member[:, node]))
        if name in corners:
            raise MorphingError(
                f"the faces {name} meet at two corners, nodes {corners[name]} and {node}: divide one of them by name."
            )
        corners[name] = node
    taken = set(corners.values())
    for name in landmarks:
        members = mesh.node_set(name).tolist()
        if len(members) != 1:
            raise MorphingError(f"landmark {name!r} has {len(members)} nodes: expected one.")
        if members[0] not in taken:
            corners[name] = members[0]
    return corners


def _face(
    mesh: Mesh, name: str, triangles: Array, corners: dict[str, int], faces: tuple[str, ...], member: Array
) -> Face:
    patch, nodes = restrict(Mesh(mesh.points, {"triangle": triangles}))
    try:
        found = surface(patch)
        if found.parts > 1 or found.genus or not found.loops:
            disc(patch)  # says what is wrong
    except MorphingError as error:
        raise MorphingError(f"face {name!r}: {error}") from error
    number = {int(node): place for place, node in enumerate(nodes)}
    ours = {key: number[node] for key, node in corners.items() if node in number}
    rims = []
    for loop in found.loops:
        place = {int(node): position for position, node in enumerate(loop)}
        own = sorted((place[node], key) for key, node in ours.items() if node in place)
        beside = np.flatnonzero(member[:, nodes[loop]].any(axis=1))
        neighbours = frozenset(faces[i] for i in beside) - {name}
        rims.append(FaceRim(loop, neighbours, tuple(key for _, key in own)))
    return Face(patch, nodes, {key: ours[key] for rim in rims for key in rim.corners}, tuple(rims))
