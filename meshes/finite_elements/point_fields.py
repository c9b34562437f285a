"""Fields given at the points of a mesh, as functions of a space of higher degree."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from meshes.finite_elements.elements import Tabulation, lagrange_element
from meshes.finite_elements.function_space import FunctionSpace
from solvers.operators import CSROperator

__all__ = ["from_points"]


def from_points(space: FunctionSpace) -> CSROperator:
    """Values at the mesh's points ↦ the same (bi-, tri-)linear function in the space, ``(nodes, points)``.

    Point fields of a file become functions of degree 2 by it, one component at a time; the other way is
    ``u[..., :len(mesh.points)]``, as a space's first nodes are the points.

    Examples
    --------
    >>> import torch
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0.0], [1.0], [3.0]], {"line": [[0, 1], [1, 2]]}), degree=2)
    >>> from_points(space) @ torch.tensor([0.0, 2.0, 6.0], dtype=torch.float64)
    tensor([0., 2., 6., 1., 4.], dtype=torch.float64)
    """
    import skfem

    reference = space.basis.elem.doflocs.T
    linear = getattr(skfem, lagrange_element(space.cell, 1).scikit_fem)()
    at_nodes = skfem.CellBasis(space.basis.mesh, linear, quadrature=(reference, np.ones(reference.shape[1])))
    values = Tabulation.from_basis(
        at_nodes
    ).values  # (cells, local nodes, vertices), the same from every cell of a node
    share = 1 / np.bincount(space.cell_nodes.ravel())[space.cell_nodes]
    points = at_nodes.element_dofs.T
    rows = np.broadcast_to(space.cell_nodes[:, :, None], values.shape)
    columns = np.broadcast_to(points[:, None, :], values.shape)
    kept = np.abs(values) > 1e-12
    entries = (values * share[:, :, None])[kept], (rows[kept], columns[kept])
    return CSROperator.from_scipy(scipy.sparse.coo_array(entries, (space.node_count, len(space.mesh.points))))
