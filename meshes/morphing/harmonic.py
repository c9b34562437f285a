"""Volume morphing by harmonic displacements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from meshes.mesh import Mesh
from meshes.morphing.controls import controls, require_ties
from meshes.morphing.folds import Morphing, fold_report
from meshes.morphing.given_values import solve_given
from meshes.morphing.simplices import laplace_matrices, simplices, triplets
from solvers import CG, SmoothedAggregation, SuperLU

__all__ = ["HarmonicMorphing"]

_RTOL = 1e-11


@dataclass(frozen=True)
class HarmonicMorphing:
    """Each component of the displacement solves Laplace's equation, given at the control nodes (P1 elements).

    In the plane the map of a whole boundary onto a convex one is bijective (Radó, Kneser, Choquet), up to the mesh:
    without obtuse pairs of angles no cell folds. Where the boundary has no control nodes the displacement's normal
    derivative vanishes. Affine maps of the whole boundary are reproduced.

    Examples
    --------
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], fan)
    >>> moved = HarmonicMorphing().apply(square, [0, 1, 2, 3], square.points[:4] * [2.0, 1.0])
    >>> moved.mesh.points[4], moved.folds.count
    (array([1. , 0.5]), 0)
    """

    def apply(self, mesh: Mesh, nodes: ArrayLike, targets: ArrayLike, throw: bool = True) -> Morphing:
        """Move the control nodes to their targets, and all others with them.

        Parameters
        ----------
        mesh
            Triangles or quadrilaterals in the plane, tetrahedra or hexahedra in space.
        nodes, targets
            Control nodes ``(m,)``, as a rule the whole boundary, and their new places ``(m, dim)``.
        throw
            Raise if cells fold over. False: read the result's `folds`.

        Raises
        ------
        MeshError
            Cells of another kind, or inverted before morphing.
        MorphingError
            Control nodes or targets that do not fit the mesh; cells that fold over.
        """
        cells = simplices(mesh)
        fixed, places = controls(mesh, nodes, targets)
        require_ties(mesh, fixed)
        points = torch.from_numpy(mesh.points.astype(np.float64))
        shift = torch.from_numpy(places) - points[fixed]
        system = triplets(laplace_matrices(points, cells), cells.nodes)
        index = torch.from_numpy(fixed)
        if mesh.space_dimension == 2:
            moved = solve_given(system, index, shift, len(points), SuperLU(), tags={"spd"})
        else:
            moved = solve_given(system, index, shift, len(points), CG(_RTOL), SmoothedAggregation(), {"spd"})
        after = mesh.with_points((points + moved).numpy())
        folds = fold_report(mesh, after)
        if throw:
            folds.raise_if_folded(
                "harmonic morphing",
                "take ElasticMorphing, which goes in steps and spares small cells, or RadialBasisMorphing",
            )
        return Morphing(after, folds)
