"""A surface with the topology of a disc, flattened onto the unit disc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import tau
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing.circle import arc_parameters, circle_angles, start_at, stations
from meshes.morphing.controls import require_finite
from meshes.morphing.folds import FoldReport, folds_between
from meshes.morphing.surfaces import disc
from meshes.morphing.tutte import tutte_embedding
from meshes.morphing.weights import Weights, harmonic_weights, mean_value_weights, uniform_weights
from solvers import SolveError, Solver

__all__ = ["DiscEmbedding", "EmbeddedDisc"]

Array = NDArray[Any]


@dataclass(frozen=True)
class EmbeddedDisc:
    """A surface in the unit disc.

    Attributes
    ----------
    mesh
        The triangles, all counterclockwise, with their nodes in the disc; fields and sets go along.
    boundary
        Boundary nodes ``(m,)`` in order, from the first landmark on.
    angles
        Their angles ``(m,)`` on the circle, rising, in radians.
    weights
        The weights that were used, such as "harmonic_weights".
    rejected
        The weights that were tried before, and why they were not good.
    folds
        Inverted triangles and quality.
    """

    mesh: Mesh
    boundary: Array
    angles: Array
    weights: str
    rejected: dict[str, str]
    folds: FoldReport

    def __repr__(self) -> str:
        tried = "".join(f", {name} rejected: {reason}" for name, reason in self.rejected.items())
        return f"EmbeddedDisc by {self.weights}: {self.folds}{tried}\n{self.mesh!r}"


@dataclass(frozen=True)
class DiscEmbedding:
    """Flatten a triangulated surface, in the plane or in space, onto the unit disc (Tutte 1963, Floater 2003).

    The boundary goes to the circle by arc length, every inner node to the weighted mean of its neighbours: the
    discrete harmonic map, which depends on the shape and hardly on the mesh. Where its weights fold a triangle, the
    next ones are taken; mean-value and uniform weights are positive and by Tutte's theorem fold nothing.

    Parameters
    ----------
    landmarks
        Names of node sets of one boundary node each, in the order in which the boundary meets them with the surface
        on its left. Without any, the boundary starts at the node farthest from its centre, which is the same place in
        two meshes of one shape only where the shape has no symmetry.
    angles
        Where the landmarks go on the circle, in radians (`mean_landmark_angles` of a family of shapes). None: by arc
        length, the first at 0.
    weights
        The weights to try, in this order.
    solver
        For the sparse systems; `SuperLU()` by default.

    Examples
    --------
    >>> points = [[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.4, 0.5, 0.3]]
    >>> tent = Mesh(points, {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}, node_sets={"south": [1]})
    >>> flat = DiscEmbedding(landmarks=("south",), angles=(-np.pi / 2,)).apply(tent)
    >>> flat.weights, flat.folds.count, flat.mesh.points[1].round(9) + 0.0
    ('harmonic_weights', 0, array([ 0., -1.]))
    """

    landmarks: Sequence[str] = ()
    angles: Sequence[float] | None = None
    weights: tuple[Weights, ...] = (harmonic_weights, mean_value_weights, uniform_weights)
    solver: Solver | None = None

    def __post_init__(self) -> None:
        if not self.weights:
            raise MorphingError("an embedding without weights: expected at least one of harmonic_weights and its kin.")

    def apply(self, mesh: Mesh, throw: bool = True) -> EmbeddedDisc:
        """Flatten one mesh.

        Parameters
        ----------
        throw
            Raise if triangles are inverted whatever the weights. False: return the last attempt; read its `folds`.

        Raises
        ------
        MeshError
            The mesh is not made of triangles, or lacks a landmark.
        MorphingError
            It is not a disc, a landmark is not on its boundary or out of order, boundary nodes coincide, or triangles
            stay inverted.
        """
        require_finite(mesh)
        triangles, loop = disc(mesh)
        loop, anchors = start_at(mesh, loop, self.landmarks)
        theta = self._angles(torch.from_numpy(_doubles(mesh)), torch.from_numpy(loop), anchors)
        rim = torch.stack([theta.cos(), theta.sin()], dim=-1)
        rejected: dict[str, str] = {}
        for number, weights in enumerate(self.weights, start=1):
            name = weights.__name__
            try:
                flat, folds = self._attempt(mesh, triangles, loop, rim, weights)
            except SolveError as error:
                if number == len(self.weights):
                    raise MorphingError(f"embedding by {name}: {error}") from error
                rejected[name] = "no solution (collapsed triangles)"
                continue
            if not folds.count or number == len(self.weights):
                break
            rejected[name] = f"{folds.count} triangles inverted"
        if throw:
            remedy = "improve the triangles (meshes.check_mesh), spread the landmarks, or end with uniform_weights"
            folds.raise_if_folded(f"embedding by {name}", remedy)
        return EmbeddedDisc(flat, loop, theta.numpy(), name, rejected, folds)

    def _attempt(
        self, mesh: Mesh, triangles: Array, loop: Array, rim: Tensor, weights: Weights
    ) -> tuple[Mesh, FoldReport]:
        points, cells, boundary = (torch.from_numpy(part) for part in (_doubles(mesh), triangles, loop))
        u = tutte_embedding(points, cells, boundary, rim, weights, self.solver)
        flat = replace(mesh, points=u.numpy(), cells={**mesh.cells, "triangle": triangles})
        return flat, folds_between(mesh, flat)

    def _angles(self, points: Tensor, loop: Tensor, anchors: list[int]) -> Tensor:
        s = arc_parameters(points, loop)
        still = torch.nonzero(~(s.diff() > 0)).reshape(-1)
        if len(still):
            first = int(still[0])
            raise MorphingError(
                f"{len(still)} boundary edges without length (node {int(loop[first])}): expected distinct points; join "
                "them with meshes.repair_mesh."
            )
        if self.angles is None:
            angles: Sequence[float] = [tau * float(s[place]) for place in anchors]
        elif self.landmarks:
            angles = stations(self.angles, self.landmarks)
        else:
            raise MorphingError(f"{len(self.angles)} angles without landmarks: name the node sets that they belong to.")
        return circle_angles(points, loop, anchors, angles)


def _doubles(mesh: Mesh) -> Array:
    return mesh.points.astype(np.float64)
