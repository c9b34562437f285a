"""L2 projection of nodal fields from one mesh to another: best approximation, or exact conservation of the integral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.interpolation.cell_locator import CellLocator, Location
from meshes.interpolation.interpolation_operator import interpolation_matrix
from meshes.interpolation.outside import Outside, Refuse
from meshes.interpolation.quadrature import cell_quadrature
from meshes.mesh import Mesh

if TYPE_CHECKING:
    from torch import Tensor

    from solvers import CSROperator

__all__ = ["L2Projection", "conservative_projection", "l2_projection", "projection_by_points"]

Array = NDArray[Any]

# Exact for the products of two quadratic functions on a simplex.
_MASS_DEGREE = 4


@dataclass(frozen=True)
class L2Projection:
    """The field g on the target with M g = B f for a field f on the source.

    Attributes
    ----------
    mass
        M ``(m, m)``, the target's mass matrix, symmetric positive definite; 1ᵀ M g is the integral of g.
    load
        B ``(m, n)``: integrals of the source's shape functions against the target's.
    """

    mass: CSROperator
    load: CSROperator

    def __call__(self, field: Tensor) -> Tensor:
        """Project fields ``(*batch, n)``, float64, to ``(*batch, m)``; differentiable.

        Raises
        ------
        solvers.SolveError
            Conjugate gradients do not reach a relative residual of 1e-12.
        """
        from solvers import CG, Jacobi, linear_solve

        return linear_solve(self.mass, self.load.mv(field), CG(rtol=1e-12), Jacobi()).value


def l2_projection(
    source: Mesh | CellLocator, target: Mesh | CellLocator, outside: Outside | None = None, degree: int = 4
) -> L2Projection:
    """The best approximation in L2: B by quadrature on the target's cells, where the source is interpolated.

    Exact for every field that both meshes represent, constants among them. The integral is kept up to the error of
    the quadrature, which meets the source's kinks; `conservative_projection` keeps it exactly.

    Parameters
    ----------
    source, target
        Meshes that cover one domain, or locators built for them.
    outside
        What happens to quadrature points in no cell of the source: ``Refuse()`` (default), ``Nearest()`` or
        ``Extrapolate()``.
    degree
        Of the polynomials that the quadrature integrates exactly on every target cell.

    Raises
    ------
    MeshError
        Points outside (by the policy), meshes that `CellLocator` refuses, a degree below one.

    Examples
    --------
    >>> import torch
    >>> source = Mesh([[0.0], [0.5], [1.0]], {"line": [[0, 1], [1, 2]]})
    >>> target = Mesh([[0.0], [0.3], [1.0]], {"line": [[0, 1], [1, 2]]})
    >>> l2_projection(source, target)(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    tensor([1.0000, 1.6000, 3.0000], dtype=torch.float64)
    """
    on, off = _locator(target), _locator(source)
    place, points, weights = cell_quadrature(on, degree)
    return projection_by_points(on, place, weights, off, _settled(off, points, outside))


def conservative_projection(
    source: Mesh | CellLocator, target: Mesh | CellLocator, outside: Outside | None = None, degree: int = 4
) -> L2Projection:
    """The projection that keeps the integral exactly: B by quadrature on the source's cells.

    As the target's shape functions sum to one, 1ᵀ M g = 1ᵀ B f = ∫ f, up to rounding and the tolerance of the solve.
    In exchange constants are kept only up to the error of the quadrature, which meets the target's kinks.

    Parameters
    ----------
    source, target
        Meshes that cover one domain, or locators built for them.
    outside
        What happens to quadrature points of one mesh in no cell of the other: ``Refuse()`` (default) or ``Nearest()``,
        which puts their share on the boundary, and ``Extrapolate()``.
    degree
        Of the polynomials that the quadrature integrates exactly on every source cell.

    Raises
    ------
    MeshError
        Points outside (by the policy), meshes that `CellLocator` refuses, a degree below one.

    Examples
    --------
    >>> import torch
    >>> source = Mesh([[0.0], [0.5], [1.0]], {"line": [[0, 1], [1, 2]]})
    >>> target = Mesh([[0.0], [0.3], [1.0]], {"line": [[0, 1], [1, 2]]})
    >>> projection = conservative_projection(source, target)
    >>> g = projection(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    >>> round(float(projection.mass.mv(g).sum()), 12)
    0.5
    """
    on, off = _locator(target), _locator(source)
    place, points, weights = cell_quadrature(off, degree)
    # Also the other way round: what the source does not cover would get values from nowhere.
    _settled(off, cell_quadrature(on, _MASS_DEGREE)[1], outside)
    return projection_by_points(on, _settled(on, points, outside), weights, off, place)


def projection_by_points(
    on: CellLocator, target: Location, weights: Array, off: CellLocator, source: Location
) -> L2Projection:
    """Both matrices from one set of points with weights ``(m,)``, known in the target (`on`) and in the source."""
    from scipy.sparse import diags_array

    from solvers import CSROperator

    load = interpolation_matrix(on, target).T @ diags_array(weights) @ interpolation_matrix(off, source)
    exact, _, measure = cell_quadrature(on, _MASS_DEGREE)
    shape = interpolation_matrix(on, exact)
    mass = shape.T @ diags_array(measure) @ shape
    orphans = np.flatnonzero(mass.diagonal() == 0)
    if len(orphans):
        raise MeshError(
            f"{len(orphans)} points of the target that no cell uses, such as {orphans[0]}: nothing can be projected to "
            "them; remove them with meshes.repair_mesh."
        )
    # Symmetric by mathematics, and by rounding too when the halves are averaged.
    return L2Projection(CSROperator.from_scipy(0.5 * (mass + mass.T), tags={"spd"}), CSROperator.from_scipy(load))


def _locator(mesh: Mesh | CellLocator) -> CellLocator:
    return mesh if isinstance(mesh, CellLocator) else CellLocator(mesh)


def _settled(locator: CellLocator, points: Array, outside: Outside | None) -> Location:
    location = (Refuse() if outside is None else outside).settle(locator, points, locator.locate(points))
    if len(location.outside):
        raise MeshError(
            f"{len(location.outside)} of {len(points)} quadrature points have no cell: an integral cannot leave them "
            "blank; pass outside=Nearest() or Extrapolate()."
        )
    return location
