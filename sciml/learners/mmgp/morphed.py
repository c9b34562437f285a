"""What a morphing onto a reference shape is, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from meshes.mesh import Mesh
from sciml.learners.mmgp.rims import Rim

__all__ = ["Morphed", "Morphing", "bare"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Morphed:
    """A mesh on the reference shape.

    Attributes
    ----------
    mesh
        Cells and node sets of the mesh with its nodes ``(n, k)`` on the reference shape; without fields.
    rims
        Its boundary loops along those of the reference, in one order for the whole family; empty where the boundary is
        not made of curves (solids), or is not known to be common.
    """

    mesh: Mesh
    rims: tuple[Rim, ...] = ()


class Morphing(Protocol):
    """Brings every mesh of a family onto one reference shape; a frozen dataclass of plain values.

    Examples of it are `DiscMorphing`, `BoundaryMorphing`, `FacesMorphing`, `GivenMorphing` and `SameCells`.
    """

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> Self:
        """The same morphing, settled for a family: with its landmarks and what must be known of all meshes."""
        ...

    def reference(self, mesh: Mesh) -> Morphed:
        """One mesh of the family as it is on the reference shape, to become the common mesh."""
        ...

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """Move a mesh onto the reference shape.

        Raises
        ------
        MeshError, MorphingError
            Another topology, missing landmarks, cells that fold over.
        """
        ...


def bare(mesh: Mesh, points: Array) -> Mesh:
    """Cells and node sets of a mesh at other points ``(n, k)``."""
    return Mesh(np.asarray(points, dtype=np.float64), mesh.cells, node_sets=mesh.node_sets)
