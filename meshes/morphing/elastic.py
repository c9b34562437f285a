"""Volume morphing by an elastic body that is pushed into its new shape step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing.controls import controls, require_ties
from meshes.morphing.folds import FoldReport, Morphing, fold_report
from meshes.morphing.given_values import solve_given
from meshes.morphing.simplices import Simplices, elastic_matrices, simplices, triplets
from solvers import CG, SmoothedAggregation, SolveError, Solver, SuperLU

__all__ = ["ElasticMorphing"]

_RTOL = 1e-10


@dataclass(frozen=True)
class ElasticMorphing:
    """Linear elasticity in increments, on the mesh as deformed so far; small cells are stiff (E ~ 1/volume).

    After each increment the cells are looked at; if one has folded, the increment is halved. Translations are
    reproduced; other affine maps only where all cells are of one volume, for small cells keep their shape at the
    expense of large ones.

    Parameters
    ----------
    poisson
        Poisson's ratio, in (−1, 0.5).
    steps
        Number of increments if nothing folds.
    halvings
        Times that an increment may be halved before the morphing fails.

    Examples
    --------
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], fan)
    >>> ElasticMorphing().apply(square, [0, 1, 2, 3], square.points[:4] * [2.0, 1.0]).mesh.points[4].round(12)
    array([1. , 0.5])
    """

    poisson: float = 0.3
    steps: int = 5
    halvings: int = 6

    def __post_init__(self) -> None:
        if not -1 < self.poisson < 0.5:
            raise MorphingError(f"poisson = {self.poisson}: expected a ratio between −1 and 0.5.")
        if self.steps < 1 or self.halvings < 0:
            raise MorphingError(f"steps = {self.steps}, halvings = {self.halvings}: expected at least 1 and 0.")

    def apply(self, mesh: Mesh, nodes: ArrayLike, targets: ArrayLike, throw: bool = True) -> Morphing:
        """Move the control nodes to their targets on straight lines, and all others with them.

        Parameters
        ----------
        mesh
            Triangles or quadrilaterals in the plane, tetrahedra or hexahedra in space.
        nodes, targets
            Control nodes ``(m,)``, as a rule the whole boundary, and their new places ``(m, dim)``.
        throw
            Raise if cells fold over. False: return the mesh of the smallest increment that failed.

        Raises
        ------
        MeshError
            Cells of another kind, or inverted before morphing.
        MorphingError
            Control nodes or targets that do not fit the mesh or do not hold it; cells that fold over.
        """
        cells = simplices(mesh)
        fixed, places = controls(mesh, nodes, targets)
        require_ties(mesh, fixed)
        index, goal = torch.from_numpy(fixed), torch.from_numpy(places)
        points = torch.from_numpy(mesh.points.astype(np.float64))
        start, done, step = points[index], 0.0, 1 / self.steps
        shape, folds = mesh.with_points(points.numpy()), fold_report(mesh, mesh)
        while done < 1 and step * self.steps * 2**self.halvings >= 1:
            until = done + step if done + step < 1 - 1e-9 else 1.0
            wanted = start + until * (goal - start) if until < 1 else goal
            trial = points + self._increment(points, cells, index, wanted - points[index])
            shape = mesh.with_points(trial.numpy())
            folds = fold_report(mesh, shape)
            if folds.count:
                step /= 2
            else:
                points, done = trial, until
        if throw:
            _raise_if_folded(folds, done)
        miss = float((torch.from_numpy(shape.points[fixed]) - goal).norm(dim=1).max())
        return Morphing(shape, folds, miss / float(np.linalg.norm(np.ptp(mesh.points, axis=0))))

    def _increment(self, points: Tensor, cells: Simplices, fixed: Tensor, shift: Tensor) -> Tensor:
        """Displacements ``(n, dim)`` of all nodes."""
        n, dim = points.shape
        unknowns = torch.arange(n * dim).reshape(n, dim)
        system = triplets(elastic_matrices(points, cells, self.poisson), unknowns[cells.nodes].flatten(1))
        solver: Solver = SuperLU()
        multigrid = None
        if dim == 3:
            free = torch.ones(n, dtype=torch.bool)
            free[fixed] = False
            solver, multigrid = CG(_RTOL), SmoothedAggregation(_rigid_motions(points)[free].flatten(0, 1), dim)
        held, given = unknowns[fixed].reshape(-1), shift.reshape(-1, 1)
        try:
            return solve_given(system, held, given, n * dim, solver, multigrid, {"spd"}).reshape(n, dim)
        except SolveError as error:
            raise MorphingError(
                f"elastic morphing from {len(fixed)} control nodes: {error} Expected enough of them to hold the body, "
                "as a rule its whole boundary."
            ) from error


def _rigid_motions(points: Tensor) -> Tensor:
    """Translations and rotations about the centre, ``(n, 3, 6)``."""
    x = points - points.mean(dim=0)
    identity = torch.eye(3, dtype=points.dtype).expand(len(points), 3, 3)
    turns = torch.stack([torch.linalg.cross(axis.expand_as(x), x) for axis in identity[0]], dim=-1)
    return torch.cat([identity, turns], dim=-1)


def _raise_if_folded(folds: FoldReport, done: float) -> None:
    folds.raise_if_folded(
        f"elastic morphing, stopped at {100 * done:.3g} % of the way",
        "check that the targets neither cross nor crowd, raise halvings, or go through an intermediate shape",
    )
