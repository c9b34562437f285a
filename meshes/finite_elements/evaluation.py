"""What a finite element function does inside of cells: values, gradients, norms and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.errors import MeshError
from meshes.finite_elements.elements import Tabulation
from meshes.finite_elements.function_space import FunctionSpace
from meshes.finite_elements.shape_matrices import gradient_matrix, value_matrix
from solvers.operators import CSROperator

__all__ = ["cell_gradients", "l2_error", "l2_norm", "nodal_gradients", "quadrature_gradients", "quadrature_values"]

Array = NDArray[Any]


def quadrature_values(space: FunctionSpace) -> CSROperator:
    """u ↦ its values at the quadrature points, a matrix ``(cells · q · components, size)``."""
    return _operator(value_matrix(space.tabulation, space.components), space)


def quadrature_gradients(space: FunctionSpace) -> CSROperator:
    """u ↦ ∂u_c/∂x_k at the quadrature points, ``(cells · q · components · dim, size)``."""
    return _operator(gradient_matrix(space.tabulation, space.components), space)


def cell_gradients(space: FunctionSpace) -> CSROperator:
    """u ↦ the mean over each cell of ∂u_c/∂x_k, a matrix ``(cells · components · dim, size)``.

    ``(G @ u).unflatten(-1, (cells, components, dim))`` is what `stress` takes.

    Examples
    --------
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> cell_gradients(space) @ torch.tensor([0.0, 6.0, 5.0], dtype=torch.float64)
    tensor([3., 5.], dtype=torch.float64)
    """
    table = space.tabulation
    share = table.weights / table.weights.sum(axis=1, keepdims=True)
    gradients = gradient_matrix(table, space.components)
    return _operator(np.einsum("eqri,eq->eri", gradients, share)[:, None], space)


def nodal_gradients(space: FunctionSpace) -> CSROperator:
    """u ↦ ∂u_c/∂x_k at the nodes, ``(nodes · components · dim, size)``.

    The gradient jumps from cell to cell: this is the mean over the cells around a node, weighted by their volumes.
    """
    import skfem

    basis = space.basis
    reference = basis.elem.doflocs.T
    at_nodes = skfem.CellBasis(basis.mesh, basis.elem, quadrature=(reference, np.ones(reference.shape[1])))
    gradients = gradient_matrix(Tabulation.from_basis(at_nodes), space.components)
    volumes = np.broadcast_to(space.tabulation.weights.sum(axis=1)[:, None], space.cell_nodes.shape)
    share = volumes / np.bincount(space.cell_nodes.ravel(), volumes.ravel())[space.cell_nodes]
    rows_each = gradients.shape[2]
    rows = space.cell_nodes[:, :, None] * rows_each + np.arange(rows_each)
    return _operator(gradients * share[:, :, None, None], space, rows, space.node_count * rows_each)


def l2_norm(space: FunctionSpace, u: Tensor) -> Tensor:
    """√∫|u|² of functions ``(*batch, size)``, ``(*batch)``; differentiable where it is not 0."""
    return _norm(space, _at_quadrature(space, u))


def l2_error(space: FunctionSpace, u: Tensor, exact: Callable[[Tensor], Tensor]) -> Tensor:
    """√∫|u − exact|² of functions ``(*batch, size)``, ``(*batch)``.

    Parameters
    ----------
    exact
        From points ``(cells, q, dim)`` to values ``(cells, q)``, of vector fields ``(cells, q, components)``.

    Examples
    --------
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> l2_error(space, torch.zeros(3, dtype=torch.float64), lambda x: 0 * x[..., 0] + 2).square()
    tensor(2.0000, dtype=torch.float64)
    """
    at_points = _at_quadrature(space, u)
    values = exact(space.quadrature_points)
    values = values[..., None] if space.components == 1 and values.ndim == 2 else values
    if values.shape != at_points.shape[-3:]:
        raise MeshError(f"exact values {tuple(values.shape)}: expected {tuple(at_points.shape[-3:])}.")
    return _norm(space, at_points - values)


def _at_quadrature(space: FunctionSpace, u: Tensor) -> Tensor:
    if u.shape[-1:] != (space.size,):
        raise MeshError(f"function {tuple(u.shape)}: expected (*batch, {space.size}), the degrees of freedom.")
    cells, q = space.tabulation.weights.shape
    return (quadrature_values(space) @ u).unflatten(-1, (cells, q, space.components))


def _norm(space: FunctionSpace, values: Tensor) -> Tensor:
    weights = torch.from_numpy(space.tabulation.weights)
    return (values.square().sum(-1) * weights).sum((-2, -1)).sqrt()


def _operator(
    rows_of_cells: Array, space: FunctionSpace, rows: Array | None = None, count: int | None = None
) -> CSROperator:
    """The sparse matrix of ``(cells, q, r, local dofs)``; its rows in this order, or those given, summed."""
    shape = rows_of_cells.shape
    row = np.arange(shape[0] * shape[1] * shape[2]).reshape(shape[:3]) if rows is None else rows
    row = np.broadcast_to(row[..., None], shape)
    column = np.broadcast_to(space.cell_dofs[:, None, None, :], shape)
    kept = rows_of_cells != 0
    full = (int(np.prod(shape[:3])) if count is None else count, space.size)
    matrix = scipy.sparse.coo_array((rows_of_cells[kept], (row[kept], column[kept])), full)
    return CSROperator.from_scipy(matrix)
