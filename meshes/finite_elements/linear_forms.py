"""Loads and tractions: right-hand sides as linear maps of what acts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshes.finite_elements.assembly import AssemblyMap, FormFactors, assembly_map, load_map
from meshes.finite_elements.boundaries import facet_numbers
from meshes.finite_elements.coefficients import Layout, per_cell
from meshes.finite_elements.elements import Tabulation
from meshes.finite_elements.function_space import FunctionSpace
from meshes.finite_elements.shape_matrices import value_matrix
from solvers.operators import CSROperator

__all__ = ["boundary_mass", "boundary_quadrature_points", "load", "traction"]

Array = NDArray[Any]


def load(space: FunctionSpace, layout: Layout = per_cell) -> CSROperator:
    """f ↦ ∫ f·v, a matrix ``(size, count · components)``: the load vector of a source or body force is its product.

    Parameters
    ----------
    layout
        Where f is given, its components side by side: `per_cell` (heat sources, weights), `per_node` or
        `per_quadrature_point` (any function, at `FunctionSpace.quadrature_points`). Per volume: W/m³, N/m³.

    Examples
    --------
    >>> import torch
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> load(space) @ torch.tensor([6.0], dtype=torch.float64)
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    table = space.tabulation
    chosen = layout(space, table, space.cell_nodes)
    return load_map(value_matrix(table, space.components), table.weights, chosen, space.cell_dofs, space.size)


def traction(space: FunctionSpace, where: str | None = None, layout: Layout = per_cell) -> CSROperator:
    """t ↦ ∫_Γ t·v over a facet set Γ (the whole boundary by default): the load vector of a traction or a flux.

    Parameters
    ----------
    where
        Name of a facet set.
    layout
        `per_cell`: one t a facet, in the order of the set; `per_node`: at all nodes of the space, of which those on Γ
        count; `per_quadrature_point`: any function, at `boundary_quadrature_points`. Per area: N/m², W/m² (in 2D: per
        length and unit thickness). A pressure p is t = −p n, with n from `meshes.facet_normals`.

    Raises
    ------
    MeshError
        The mesh has no such facet set; the message lists those it has.
    """
    basis = _facet_basis(space, where)
    table, nodes = Tabulation.from_basis(basis), _nodes(basis)
    dofs = (nodes[:, :, None] * space.components + np.arange(space.components)).reshape(len(nodes), -1)
    chosen = layout(space, table, nodes)
    return load_map(value_matrix(table, space.components), table.weights, chosen, dofs, space.size)


def boundary_mass(space: FunctionSpace, where: str | None = None, layout: Layout = per_cell) -> AssemblyMap:
    """α ↦ ∫_Γ α u·v: heat transfer (W/(m²·K)) or elastic bedding (N/m³), the matrix of a Robin condition.

    On the pattern of the space's other operators, so that sums with them stay cheap; symmetric, not definite.
    """
    basis = _facet_basis(space, where)
    table, nodes = Tabulation.from_basis(basis), _nodes(basis)
    values = value_matrix(table, space.components)
    form = FormFactors(values, np.eye(space.components)[None], values, table.weights)
    places = space.entry_places.of_cells(basis.tind)
    return assembly_map(form, layout(space, table, nodes), places, {"symmetric"})


def boundary_quadrature_points(space: FunctionSpace, where: str | None = None) -> Tensor:
    """Places ``(facets, q, dim)`` of the quadrature points of a facet set: where `per_quadrature_point` wants t."""
    return torch.tensor(Tabulation.from_basis(_facet_basis(space, where)).points)


def _facet_basis(space: FunctionSpace, where: str | None) -> Any:
    import skfem

    facets = facet_numbers(space, where)
    return skfem.FacetBasis(space.basis.mesh, space.basis.elem, intorder=space.quadrature_order, facets=facets)


def _nodes(basis: Any) -> Array:
    """Nodes ``(facets, local)`` of the cells behind the facets."""
    return np.ascontiguousarray(basis.element_dofs.T, dtype=np.int64)
