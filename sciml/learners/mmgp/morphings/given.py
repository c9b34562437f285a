"""Parts whose common coordinates are known already: from a point field, or from equal cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meshes.errors import MeshError, MorphingError
from meshes.mesh import Mesh
from meshes.morphing.folds import folds_between
from sciml.learners.mmgp.morphed import Morphed, bare

__all__ = ["GivenMorphing", "SameCells"]


@dataclass(frozen=True)
class GivenMorphing:
    """The places on the reference shape are a point field of every mesh.

    Parameters
    ----------
    field
        Name of a point field ``(n, k)``, k the dimension of the cells: parameters of the drawing from which the mesh
        was made, or a morphing of your own.

    Examples
    --------
    >>> box = [[0.0, 0], [1, 0], [1, 1], [0, 1]]
    >>> bent = Mesh([[0.0, 0], [2, 0], [3, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]}, {"box": box})
    >>> GivenMorphing("box").reference(bent).mesh.points.tolist() == box
    True
    """

    field: str = "reference_coordinates"

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> GivenMorphing:
        """Nothing must be known of all meshes."""
        return self

    def reference(self, mesh: Mesh) -> Morphed:
        """The mesh at the given places."""
        places = mesh.point_field(self.field)
        if places.ndim != 2 or places.shape[1] != mesh.dimension or not np.isfinite(places).all():
            raise MeshError(
                f"point field {self.field!r} of shape {places.shape}: expected ({len(mesh.points)}, {mesh.dimension}) "
                "finite places on the reference shape."
            )
        moved = bare(mesh, places)
        folds_between(bare(mesh, mesh.points), moved).raise_if_folded(
            f"given places {self.field!r}", "correct them, or take another morphing (disc, harmonic, elastic, faces)"
        )
        return Morphed(moved)

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """The mesh at its given places, whatever the reference."""
        return self.reference(mesh)


@dataclass(frozen=True)
class SameCells:
    """All meshes have the same cells: node i of one is node i of all others.

    Examples
    --------
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    >>> bent = square.with_points([[0.0, 0], [2, 0], [3, 1], [0, 1]])
    >>> SameCells().apply(bent, SameCells().reference(square)).mesh == square
    True
    """

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> SameCells:
        """Nothing must be known of all meshes."""
        return self

    def reference(self, mesh: Mesh) -> Morphed:
        """The mesh as it is."""
        return Morphed(bare(mesh, mesh.points))

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """The nodes at the reference's."""
        ours, theirs = mesh.blocks(), reference.mesh.blocks()
        same = len(mesh.points) == len(reference.mesh.points) and ours.keys() == theirs.keys()
        if not same or any(not np.array_equal(nodes, theirs[kind]) for kind, nodes in ours.items()):
            raise MorphingError(
                f"cells differ from the reference's ({mesh.cell_count} of {len(mesh.points)} points, "
                f"{reference.mesh.cell_count} of {len(reference.mesh.points)}): expected the same numbering in all "
                "meshes; take the morphing disc, harmonic, elastic or faces for parts that were meshed one by one."
            )
        return Morphed(bare(mesh, reference.mesh.points))
