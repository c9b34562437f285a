"""Solids onto the shape of a reference mesh by the named faces of their surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing import ElasticMorphing, HarmonicMorphing, RadialBasisMorphing
from sciml.learners.mmgp.morphed import Morphed, bare
from sciml.learners.mmgp.morphings.charts import polygon_chart
from sciml.learners.mmgp.morphings.disc import DiscMorphing
from sciml.learners.mmgp.morphings.holed_faces import HoledFace, require_alike
from sciml.learners.mmgp.morphings.named_faces import Face, named_faces
from sciml.learners.mmgp.transfer import interpolation_between

__all__ = ["FacesMorphing"]

Array = NDArray[Any]


@dataclass(frozen=True)
class FacesMorphing:
    """Each named face goes to the reference's face of that name, edge to edge and corner to corner; the inside follows.

    Faces are facet sets that cover the surface. Corners are nodes where three of them meet; between corners the nodes
    of an edge are placed by arc length; both faces are flattened onto one polygon by harmonic maps (onto a disc, where
    there are fewer than three corners or triangles collapse on the polygon), and the way back is the reference's face.
    Faces with holes and tubes have no such chart: their rims go to the reference's rims, and the face follows by
    harmonic displacements. Landmarks on edges count as corners.

    Parameters
    ----------
    interior
        How the inner nodes follow the surface.
    faces
        Names of the facet sets; empty: all facet sets of the first mesh.
    landmarks
        Set by `prepared`: node sets of one node each on the edges.

    Examples
    --------
    >>> import numpy as np
    >>> from meshes import structured_grid, to_simplices
    >>> axis = np.linspace(0.0, 1.0, 4)
    >>> cube = to_simplices(structured_grid(axis, axis, axis))
    >>> long = cube.with_points(cube.points * [2.0, 1.0, 1.0])
    >>> stage = FacesMorphing().prepared([cube, long], ())
    >>> float(np.abs(stage.apply(long, stage.reference(cube)).mesh.points - cube.points).max().round(6))
    0.0
    """

    interior: HarmonicMorphing | ElasticMorphing | RadialBasisMorphing = field(default_factory=HarmonicMorphing)
    faces: tuple[str, ...] = ()
    landmarks: tuple[str, ...] = ()

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> FacesMorphing:
        """Note the landmarks, and the faces if none were named."""
        faces = self.faces or tuple(sorted(meshes[0].facet_sets))
        if not faces:
            raise MorphingError(
                "a morphing by faces of meshes without facet sets: name the faces of the surface in the facet sets, or "
                "take the morphing given or same-cells."
            )
        return replace(self, faces=faces, landmarks=landmarks)

    def reference(self, mesh: Mesh) -> Morphed:
        """The mesh as it is: its shape becomes the reference."""
        return Morphed(replace(bare(mesh, mesh.points), facet_sets=mesh.facet_sets))

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """Move the surface face by face and the inner nodes along."""
        theirs = _charted_reference(reference, self.faces, self.landmarks)
        targets = np.full((len(mesh.points), mesh.space_dimension), np.nan)
        for name, face in named_faces(mesh, self.faces, self.landmarks).items():
            try:
                targets[face.nodes] = theirs[name].places_of(face)
            except MorphingError as error:
                raise MorphingError(f"face {name!r}: {error}") from error
        nodes = np.flatnonzero(np.isfinite(targets).all(axis=1))
        return Morphed(bare(mesh, self.interior.apply(mesh, nodes, targets[nodes]).mesh.points))


@dataclass(frozen=True, eq=False)
class _ChartedFace:
    """A disc of the reference with its charts: the polygon, if it has one, and the disc."""

    face: Face
    polygon: Morphed | None
    disc: DiscMorphing
    on_disc: Morphed

    def places_of(self, face: Face) -> Array:
        """Where the nodes of another mesh's face go on this one, ``(m, 3)``."""
        require_alike(face, self.face)
        corners = tuple(self.face.corners)
        patch = face.with_corners()
        if self.polygon is not None:
            try:
                return interpolation_between(self.polygon, polygon_chart(patch, corners)) @ self.face.mesh.points
            except MorphingError:  # the disc never collapses a triangle
                pass
        return interpolation_between(self.on_disc, self.disc.reference(patch)) @ self.face.mesh.points


@lru_cache(maxsize=4)
def _charted_reference(
    reference: Morphed, faces: tuple[str, ...], landmarks: tuple[str, ...]
) -> dict[str, _ChartedFace | HoledFace]:
    return {name: _charted(name, face) for name, face in named_faces(reference.mesh, faces, landmarks).items()}


def _charted(name: str, face: Face) -> _ChartedFace | HoledFace:
    if len(face.rims) > 1:
        return HoledFace(face)
    corners = tuple(face.corners)
    mesh = face.with_corners()
    try:
        polygon = polygon_chart(mesh, corners)
    except MorphingError:
        polygon = None
    try:
        disc = DiscMorphing().prepared([mesh], corners)
        return _ChartedFace(face, polygon, disc, disc.reference(mesh))
    except MorphingError as error:
        raise MorphingError(f"face {name!r} of the reference: {error}") from error
