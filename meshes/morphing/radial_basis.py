"""Morphing by radial basis functions: smooth displacements through control points, for any kind of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from meshes.errors import MorphingError
from meshes.mesh import Mesh
from meshes.morphing.controls import controls
from meshes.morphing.folds import Morphing, fold_report
from meshes.morphing.kernels import Kernel, Polyharmonic
from solvers import DenseLU, DenseOperator, SolveError, linear_solve

__all__ = ["RadialBasisMorphing", "farthest_points", "radial_basis_displacements"]

Array = NDArray[Any]
_ENTRIES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class RadialBasisMorphing:
    """s(x) = Σ a_j φ(|x − c_j|) + b₀ + B x through the displacements of the control nodes.

    Exact on affine maps; the cells play no part, so that any mesh can be moved.

    Parameters
    ----------
    kernel
        φ. None: the thin plate, r² log r in the plane and r in space.
    most
        Control points used at most; of more, a subset is taken by farthest-point sampling, and the others come
        close to their targets only (`Morphing.miss`).
    steps
        Increments on straight lines, each from where the control points are by then: large displacements, such as of a
        hole that grows to twice its size, fold in one.

    Raises
    ------
    MorphingError
        Fewer than one step.

    Examples
    --------
    >>> fan = {"triangle": [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]}
    >>> square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], fan)
    >>> moved = RadialBasisMorphing().apply(square, [0, 1, 2, 3], square.points[:4] * [2.0, 1.0])
    >>> moved.mesh.points[4].round(12), moved.folds.count
    (array([1. , 0.5]), 0)
    """

    kernel: Kernel | None = None
    most: int = 2000
    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise MorphingError(f"steps = {self.steps}: expected at least 1.")

    def apply(self, mesh: Mesh, nodes: ArrayLike, targets: ArrayLike, throw: bool = True) -> Morphing:
        """Move the control nodes to their targets, and all others with them.

        Parameters
        ----------
        nodes, targets
            Control nodes ``(m,)``, as a rule on the boundary, and their new places ``(m, dim)``.
        throw
            Raise if cells fold over. False: read the result's `folds`.

        Raises
        ------
        MeshError
            Cells are inverted before morphing.
        MorphingError
            Control nodes or targets that do not fit the mesh, coincide or lie in one plane; cells that fold over.
        """
        fixed, places = controls(mesh, nodes, targets)
        points = mesh.points.astype(np.float64)
        chosen = farthest_points(points[fixed], self.most)
        kernel = self.kernel or Polyharmonic(2 if mesh.space_dimension == 2 else 1)
        used = fixed[chosen]
        start, moved = points[used], points
        for step in range(1, self.steps + 1):
            wanted = start + step / self.steps * (places[chosen] - start)
            a, b, c = (torch.from_numpy(part) for part in (moved[used], wanted - moved[used], moved))
            moved = moved + radial_basis_displacements(a, b, c, kernel).numpy()
        after = mesh.with_points(moved)
        folds = fold_report(mesh, after)
        if throw:
            folds.raise_if_folded(
                "radial basis morphing",
                "give more control nodes, raise steps, or take ElasticMorphing, which does so by itself",
            )
        miss = np.linalg.norm(moved[fixed] - places, axis=1).max() / np.linalg.norm(np.ptp(points, axis=0))
        return Morphing(after, folds, float(miss))


def radial_basis_displacements(origins: Tensor, shifts: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    """Displacements ``(n, c)`` at points ``(n, dim)``, from those ``(m, c)`` of control points ``(m, dim)``.

    Solves [Φ P; Pᵀ 0] [a; b] = [d; 0] with P = (1, x), in coordinates scaled to the diagonal of the control points;
    differentiable in all three tensors.

    Raises
    ------
    MorphingError
        Control points coincide, or they lie in one plane (on one line) and leave B undetermined.

    Examples
    --------
    >>> corners = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float64)
    >>> moved = radial_basis_displacements(corners, 2 * corners, corners.mean(0, keepdim=True), Polyharmonic(3))
    >>> moved.round(decimals=9)
    tensor([[1., 1.]], dtype=torch.float64)
    """
    low, high = origins.amin(dim=0), origins.amax(dim=0)
    scale = (high - low).norm()
    centres, places = ((x - (low + high) / 2) / scale for x in (origins, points))
    m, dim = centres.shape
    P = torch.cat([centres.new_ones(m, 1), centres], dim=1)
    rank = int(torch.linalg.matrix_rank(P.detach(), rtol=1e-9)) if bool(scale > 0) else 1
    if rank <= dim:
        raise MorphingError(
            f"{m} control points that span {rank - 1} of {dim} dimensions: expected them not to lie in one plane (on "
            "one line); add control nodes off it, unmoved ones also count."
        )
    Phi = kernel(_distances(centres, centres))
    system = torch.cat([torch.cat([Phi, P], dim=1), torch.cat([P.mT, P.new_zeros(dim + 1, dim + 1)], dim=1)])
    b = torch.cat([shifts, shifts.new_zeros(dim + 1, shifts.shape[1])])
    try:
        coefficients = linear_solve(DenseOperator(system), b.mT, DenseLU()).value.mT
    except SolveError as error:
        raise MorphingError(
            f"radial basis functions through {m} control points (do some coincide?): {error}"
        ) from error
    pieces = places.split(max(1, _ENTRIES_AT_ONCE // m))
    smooth = torch.cat([kernel(_distances(piece, centres)) @ coefficients[:m] for piece in pieces])
    return smooth + coefficients[m] + places @ coefficients[m + 1 :]


def farthest_points(points: Array, most: int) -> Array:
    """Numbers of at most `most` points ``(n, dim)``, each the farthest from all before it (Gonzalez 1985).

    Examples
    --------
    >>> farthest_points(np.array([[0.0], [0.1], [0.6], [1.0]]), 3).tolist()
    [0, 2, 3]
    """
    if len(points) <= most:
        return np.arange(len(points))
    chosen = np.zeros(most, dtype=np.int64)
    chosen[0] = int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))
    nearest = np.full(len(points), np.inf)
    for i in range(1, most):
        nearest = np.minimum(nearest, ((points - points[chosen[i - 1]]) ** 2).sum(axis=1))
        chosen[i] = int(nearest.argmax())
    return np.sort(chosen)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i − y_j| without the cancellation of the binomial formula; its gradient at zero is zero."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
