"""Faces of a solid that are no discs, plane faces with holes and tubes: rims to rims, the face follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing import RadialBasisMorphing, harmonic_weights, tutte_embedding
from meshes.morphing.correspondence import loop_targets
from meshes.morphing.surfaces import surface
from sciml.learners.mmgp.morphings.named_faces import Face, FaceRim
from solvers import SolveError

__all__ = ["HoledFace", "require_alike"]

Array = NDArray[Any]

#: A face is plane if no node is farther from its plane than this share of its size.
_PLANE = 1e-6
#: Steps in which a plane face is moved, each from where it is by then.
_STEPS = 5
#: A rim is flat if its nodes are no farther from its plane than this share of its size.
_FLAT = 1e-2


@dataclass(frozen=True, eq=False)
class HoledFace:
    """A face of the reference with several rims, to whose rims those of other faces go.

    Plane faces follow their rims by radial basis functions in the plane: harmonic maps fold the triangles around a hole
    that grows to twice its size. Curved ones, such as tubes, follow by the affine maps of their rims, blended by the
    harmonic functions that are one on one rim and zero on the others: a round tube goes to a round tube. Both leave the
    reference where it is.
    """

    face: Face

    def places_of(self, face: Face) -> Array:
        """Where the nodes of another mesh's face go on this one, ``(m, 3)``.

        Raises
        ------
        MorphingError
            Other corners, rims or neighbours; triangles that fold over.
        """
        require_alike(face, self.face)
        patch, reference = face.with_corners(), self.face.with_corners()
        nodes, targets = [], []
        for own, other in self._partners(face):
            loop, placed = loop_targets(patch, own.loop, reference, other.loop, other.corners)
            nodes.append(loop)
            targets.append(placed)
        frame = _plane(face.mesh)
        if frame is not None and self._plane is not None:
            return _moved_in_plane(face, frame, np.concatenate(nodes), self._plane, np.concatenate(targets))
        return _moved_along(face, nodes, targets)

    @cached_property
    def _plane(self) -> tuple[Array, Array] | None:
        return _plane(self.face.mesh)

    def _partners(self, face: Face) -> list[tuple[FaceRim, FaceRim]]:
        """Rims of both faces that have the same neighbours and corners; of several such, those that lie most alike."""
        from scipy.optimize import linear_sum_assignment

        pairs = []
        for key in {_key(rim) for rim in self.face.rims}:
            ours, theirs = ([rim for rim in one.rims if _key(rim) == key] for one in (face, self.face))
            if len(ours) != len(theirs):
                beside = ", ".join(sorted(key[0]))
                raise MorphingError(
                    f"{len(ours)} rims beside {beside}, the reference's face has {len(theirs)}: expected the same "
                    "topology; name the faces alike in all meshes."
                )
            distances = np.linalg.norm(_places(face, ours)[:, None] - _places(self.face, theirs)[None], axis=2)
            pairs += [(ours[i], theirs[j]) for i, j in zip(*linear_sum_assignment(distances), strict=True)]
        return pairs


def require_alike(face: Face, reference: Face) -> None:
    """Refuse a face whose corners or number of rims differ from the reference's, as `MorphingError`."""
    if set(face.corners) != set(reference.corners):
        raise MorphingError(
            f"the corners are {', '.join(face.corners) or 'none'}, the reference's "
            f"{', '.join(reference.corners) or 'none'}: expected the same; name the faces alike in all meshes."
        )
    if len(face.rims) != len(reference.rims):
        raise MorphingError(
            f"{len(face.rims)} rims, the reference's face has {len(reference.rims)}: expected the same number of holes."
        )


def _moved_in_plane(
    face: Face, frame: tuple[Array, Array], rim: Array, onto: tuple[Array, Array], places: Array
) -> Array:
    """Nodes of a plane face ``(m, 3)`` in the plane of another, the nodes of its rims at their places."""
    (origin, axes), (other_origin, other_axes) = frame, onto
    points = (face.mesh.points.astype(np.float64) - origin) @ axes.T
    goals = (places - other_origin) @ other_axes.T
    # Turned onto the other first: on straight lines from one place to another a face would cross itself.
    centre, goal_centre = points[rim].mean(axis=0), goals.mean(axis=0)
    u, _, vh = np.linalg.svd((points[rim] - centre).T @ (goals - goal_centre))
    points = (points - centre) @ (u @ vh) + goal_centre
    flat = RadialBasisMorphing(steps=_STEPS).apply(Mesh(points, face.mesh.cells), rim, goals).mesh
    result = np.asarray(other_origin + flat.points @ other_axes)
    result[rim] = places
    return result


def _moved_along(face: Face, rims: list[Array], targets: list[Array]) -> Array:
    """Nodes of a curved face ``(m, 3)``: x + Σ_k h_k(x) (D_k (x − c_k) + t_k) + what the rims still miss, harmonic.

    D_k, t_k is the affine displacement that fits rim k best, D_k zero across the plane of a flat rim.
    """
    x = face.mesh.points.astype(np.float64)
    columns, values = len(rims), []
    maps = []
    for k, (rim, goal) in enumerate(zip(rims, targets, strict=True)):
        centre, shift = x[rim].mean(axis=0), goal - x[rim]
        gradient = np.linalg.pinv(x[rim] - centre, rcond=_FLAT) @ (shift - shift.mean(axis=0))
        affine = (x - centre) @ gradient + shift.mean(axis=0)
        maps.append(affine)
        values.append(np.concatenate([np.tile(np.eye(columns)[k], (len(rim), 1)), shift - affine[rim]], axis=1))
    points, triangles = torch.from_numpy(x), torch.from_numpy(surface(face.mesh).triangles)
    fixed, given = torch.from_numpy(np.concatenate(rims)), torch.from_numpy(np.concatenate(values))
    try:
        found = tutte_embedding(points, triangles, fixed, given, harmonic_weights).numpy()
    except SolveError as error:
        raise MorphingError(f"collapsed triangles ({error}): mend the mesh.") from error
    return np.asarray(x + np.einsum("mk,kmd->md", found[:, :columns], np.stack(maps)) + found[:, columns:])


def _plane(face: Mesh) -> tuple[Array, Array] | None:
    """Centre and two axes ``(2, 3)`` of a plane face, its outside on top of them; None if it is not plane."""
    points = face.points.astype(np.float64)
    centre = points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(points - centre, full_matrices=False)
    if sizes[2] > _PLANE * sizes[0]:
        return None
    a, b, c = points[face.cells["triangle"]].transpose(1, 0, 2)
    outward = np.cross(b - a, c - a).sum(axis=0)
    return centre, axes[:2] if np.cross(axes[0], axes[1]) @ outward > 0 else axes[1::-1]


def _key(rim: FaceRim) -> tuple[frozenset[str], frozenset[str]]:
    return rim.neighbours, frozenset(rim.corners)


def _places(face: Face, rims: list[FaceRim]) -> Array:
    """Centres of rims in the box of their face ``(m, 3)``."""
    low, high = face.mesh.points.min(axis=0), face.mesh.points.max(axis=0)
    centres = np.stack([face.mesh.points[rim.loop].mean(axis=0) for rim in rims])
    return np.asarray((centres - low) / np.linalg.norm(high - low))
