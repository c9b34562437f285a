"""Plane meshes, with or without holes, onto the shape of a reference mesh by their boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from meshes.mesh import Mesh
from meshes.morphing import ElasticMorphing, HarmonicMorphing, RadialBasisMorphing, boundary_targets
from sciml.learners.mmgp.morphed import Morphed, bare
from sciml.learners.mmgp.rims import rims_along, rims_of

__all__ = ["BoundaryMorphing", "Interior"]

#: How the inner nodes follow the boundary.
Interior = HarmonicMorphing | ElasticMorphing | RadialBasisMorphing


@dataclass(frozen=True)
class BoundaryMorphing:
    """Boundary nodes to the reference's boundary by arc length between landmarks, inner nodes follow.

    For plane parts of any number of holes; every loop of the boundary has its own landmarks, or none.

    Parameters
    ----------
    interior
        `HarmonicMorphing` (one linear solve), `ElasticMorphing` (in steps, for large changes of shape) or
        `RadialBasisMorphing` (smooth across cells).
    landmarks
        Set by `prepared`: node sets of one boundary node each.

    Examples
    --------
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}, node_sets={"foot": [0]})
    >>> wide = square.with_points(square.points * [2.0, 1.0])
    >>> stage = BoundaryMorphing().prepared([square, wide], ("foot",))
    >>> stage.apply(wide, stage.reference(square)).mesh.points.round(3).tolist()  # by arc length from the foot on
    [[0.0, 0.0], [1.0, 0.333], [1.0, 1.0], [0.0, 0.667]]
    """

    interior: Interior = field(default_factory=HarmonicMorphing)
    landmarks: tuple[str, ...] = ()

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> BoundaryMorphing:
        """Note the landmarks."""
        return replace(self, landmarks=landmarks)

    def reference(self, mesh: Mesh) -> Morphed:
        """The mesh as it is: its shape becomes the reference."""
        return Morphed(bare(mesh, mesh.points), rims_of(mesh))

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """Move the boundary to the reference's and the inner nodes along."""
        if _same_shape(mesh, reference.mesh):
            return Morphed(bare(mesh, mesh.points), reference.rims)
        nodes, targets = boundary_targets(mesh, reference.mesh, self.landmarks)
        moved = self.interior.apply(mesh, nodes, targets).mesh.points
        exact = np.array(moved, dtype=np.float64)
        exact[nodes] = targets
        return Morphed(bare(mesh, moved), rims_along(mesh, exact, reference.mesh, reference.rims))


def _same_shape(mesh: Mesh, reference: Mesh) -> bool:
    """The reference itself is not moved: finding the start of a loop without landmarks would cost eight digits."""
    cells = mesh.blocks()
    return (
        np.array_equal(mesh.points, reference.points)
        and cells.keys() == reference.blocks().keys()
        and all(np.array_equal(nodes, reference.cells[kind]) for kind, nodes in cells.items())
    )
