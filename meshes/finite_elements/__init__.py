"""Finite elements: P1 and P2 spaces, and operators that are linear, differentiable maps of their coefficients.

>>> import torch
>>> from meshes import Mesh
>>> from solvers import SuperLU, linear_solve
>>> mesh = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
>>> space = FunctionSpace(mesh, degree=2)
>>> held = DirichletCondition.on(space)
>>> f = load(space) @ torch.ones(1, dtype=torch.float64)
>>> A, b = held.eliminate(diffusion(space)(1.0), f)  # −Δu = 1, u = 0 on the boundary
>>> u = held.extend(linear_solve(A, b, SuperLU()).value)
>>> round(float(u.max()), 4)
0.0781
"""

from meshes.finite_elements.assembly import AssemblyMap
from meshes.finite_elements.bilinear_forms import advection, anisotropic_diffusion, diffusion, elasticity, mass
from meshes.finite_elements.boundaries import dofs_on, nodes_on
from meshes.finite_elements.coefficients import CoefficientLayout, per_cell, per_node, per_quadrature_point
from meshes.finite_elements.dirichlet import DirichletCondition
from meshes.finite_elements.evaluation import (
    cell_gradients,
    l2_error,
    l2_norm,
    nodal_gradients,
    quadrature_gradients,
    quadrature_values,
)
from meshes.finite_elements.function_space import FunctionSpace
from meshes.finite_elements.linear_forms import boundary_mass, boundary_quadrature_points, load, traction
from meshes.finite_elements.materials import lame, lame_plane_stress, strain, stress, von_mises
from meshes.finite_elements.node_mesh import node_mesh
from meshes.finite_elements.point_fields import from_points

__all__ = [
    "AssemblyMap",
    "CoefficientLayout",
    "DirichletCondition",
    "FunctionSpace",
    "advection",
    "anisotropic_diffusion",
    "boundary_mass",
    "boundary_quadrature_points",
    "cell_gradients",
    "diffusion",
    "dofs_on",
    "elasticity",
    "from_points",
    "l2_error",
    "l2_norm",
    "lame",
    "lame_plane_stress",
    "load",
    "mass",
    "nodal_gradients",
    "node_mesh",
    "nodes_on",
    "per_cell",
    "per_node",
    "per_quadrature_point",
    "quadrature_gradients",
    "quadrature_values",
    "strain",
    "stress",
    "traction",
    "von_mises",
]
