"""The named faces of a solid's surface, with the corners where they meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from meshes.morphing.surfaces import disc
from meshes.topology import boundary_facets, match_rows, restrict

__all__ = ["Face", "named_faces"]

Array = NDArray[Any]


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
    """

    mesh: Mesh
    nodes: Array
    corners: dict[str, int]

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
        The facet sets do not cover the surface or overlap, a face is no disc, or two corners join the same faces.
    """
    pieces = _pieces(mesh, faces)
    member = np.zeros((len(faces), len(mesh.points)), dtype=bool)
    for row, triangles in zip(member, pieces.values(), strict=True):
        row[triangles] = True
    corners = _corners(mesh, faces, member, landmarks)
    return {name: _face(mesh, name, triangles, corners) for name, triangles in pieces.items()}


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


def _face(mesh: Mesh, name: str, triangles: Array, corners: dict[str, int]) -> Face:
    patch, nodes = restrict(Mesh(mesh.points, {"triangle": triangles}))
    number = {int(node): place for place, node in enumerate(nodes)}
    try:
        _, loop = disc(patch)
    except MorphingError as error:
        raise MorphingError(f"face {name!r}: {error}") from error
    place = {int(node): position for position, node in enumerate(loop)}
    own = {key: number[node] for key, node in corners.items() if node in number and number[node] in place}
    return Face(patch, nodes, dict(sorted(own.items(), key=lambda item: place[item[1]])))
