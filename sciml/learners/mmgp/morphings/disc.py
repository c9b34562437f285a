"""Surfaces with the topology of a disc, in the plane or in space, onto the unit disc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import tau

import numpy as np

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing import (
    DiscEmbedding,
    Weights,
    harmonic_weights,
    mean_landmark_angles,
    mean_value_weights,
    uniform_weights,
)
from sciml.learners.mmgp.faults import in_sample
from sciml.learners.mmgp.morphed import Morphed, bare
from sciml.learners.mmgp.rims import Rim

__all__ = ["DiscMorphing"]

_WEIGHTS: dict[str, Weights] = {
    "harmonic": harmonic_weights,
    "mean-value": mean_value_weights,
    "uniform": uniform_weights,
}


@dataclass(frozen=True)
class DiscMorphing:
    """Flatten each mesh onto the unit disc by the discrete harmonic map (`meshes.DiscEmbedding`).

    Landmarks go to their mean angles over the training meshes, so that corners and notches of all shapes meet.

    Parameters
    ----------
    weights
        Names of the weights to try, in this order: "harmonic" depends least on the mesh, "mean-value" and "uniform"
        never fold.
    landmarks, angles
        Set by `prepared`: node sets of one boundary node each, and where they go (radians).

    Examples
    --------
    >>> points = [[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]]
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> square = Mesh(points, fan, node_sets={"foot": [0]})
    >>> disc = DiscMorphing().prepared([square], ("foot",))
    >>> disc.reference(square).mesh.points[[0, 4]].round(9) + 0.0
    array([[1., 0.],
           [0., 0.]])
    """

    weights: tuple[str, ...] = ("harmonic", "mean-value", "uniform")
    landmarks: tuple[str, ...] = ()
    angles: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.weights if name not in _WEIGHTS]
        if unknown or not self.weights:
            raise MorphingError(f"weights {', '.join(self.weights) or 'none'}: known are {', '.join(_WEIGHTS)}.")

    def prepared(self, meshes: Sequence[Mesh], landmarks: tuple[str, ...]) -> DiscMorphing:
        """Take the landmarks to their mean angles over the meshes."""
        if not landmarks:
            return replace(self, landmarks=(), angles=None)
        rows = []
        for number, mesh in enumerate(meshes):
            with in_sample(number):
                rows.append(mean_landmark_angles([mesh], landmarks))
        return replace(self, landmarks=landmarks, angles=tuple(float(a) for a in np.mean(rows, axis=0)))

    def reference(self, mesh: Mesh) -> Morphed:
        """The mesh in the unit disc."""
        weights = tuple(_WEIGHTS[name] for name in self.weights)
        disc = DiscEmbedding(self.landmarks, self.angles, weights).apply(mesh)
        rim = Rim(disc.boundary, disc.angles, tau)
        # Triangles of the embedding all have one orientation, whatever that of the mesh.
        flat = replace(bare(mesh, disc.mesh.points), cells={"triangle": disc.mesh.cells["triangle"]})
        return Morphed(flat, (rim,))

    def apply(self, mesh: Mesh, reference: Morphed) -> Morphed:
        """The mesh in the unit disc, whatever the reference."""
        return self.reference(mesh)
