"""Mass, diffusion, advection and elasticity: the bilinear forms, assembled as maps of their coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError
from meshes.finite_elements.assembly import AssemblyMap, FormFactors, assembly_map
from meshes.finite_elements.coefficients import Layout, per_cell
from meshes.finite_elements.function_space import FunctionSpace
from meshes.finite_elements.shape_matrices import gradient_matrix, strain_matrix, value_matrix, voigt_pairs

__all__ = ["advection", "anisotropic_diffusion", "diffusion", "elasticity", "mass"]

Array = NDArray[Any]


def mass(space: FunctionSpace, layout: Layout = per_cell) -> AssemblyMap:
    """ρ ↦ ∫ ρ u·v, symmetric positive definite for ρ > 0: the mass matrix, or a reaction term.

    Parameters
    ----------
    layout
        Where ρ is given: `per_cell`, `per_node` or `per_quadrature_point`.

    Examples
    --------
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0, 0], [2, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> float(mass(space)(3.0).values.sum())  # ρ times the area
    3.0
    """
    values = value_matrix(space.tabulation, space.components)
    return _assembled(space, layout, values, np.eye(space.components)[None], values, {"spd"})


def diffusion(space: FunctionSpace, layout: Layout = per_cell) -> AssemblyMap:
    """κ ↦ ∫ κ ∇u·∇v (of every component), the stiffness matrix of −∇·(κ ∇u); symmetric, with constants in the kernel.

    `DirichletCondition.eliminate` makes it positive definite. For u in K and κ in W/(m·K), the product with u is in
    W (in 2D: per metre of thickness).

    Examples
    --------
    >>> from meshes import Mesh
    >>> space = FunctionSpace(Mesh([[0, 0], [1, 0], [0, 1]], {"triangle": [[0, 1, 2]]}))
    >>> diffusion(space)(2.0).to_dense().round(decimals=9)
    tensor([[ 2., -1., -1.],
            [-1.,  1.,  0.],
            [-1.,  0.,  1.]], dtype=torch.float64)
    """
    gradients = gradient_matrix(space.tabulation, space.components)
    identity = np.eye(gradients.shape[2])[None]
    return _assembled(space, layout, gradients, identity, gradients, {"symmetric"})


def anisotropic_diffusion(space: FunctionSpace, layout: Layout = per_cell) -> AssemblyMap:
    """K ↦ ∫ ∇v·K ∇u for symmetric tensors K, given by d(d+1)/2 channels.

    They are xx, yy, xy in 2D and xx, yy, zz, yz, xz, xy in 3D. The operator is symmetric, and positive definite after
    elimination where every K is.
    """
    pairs = voigt_pairs(space.dimension)
    tensors = np.zeros((len(pairs), space.dimension, space.dimension))
    for channel, (i, j) in enumerate(pairs):
        tensors[channel, i, j] = tensors[channel, j, i] = 1.0
    material = np.stack([np.kron(np.eye(space.components), tensor) for tensor in tensors])
    gradients = gradient_matrix(space.tabulation, space.components)
    return _assembled(space, layout, gradients, material, gradients, {"symmetric"})


def advection(space: FunctionSpace, layout: Layout = per_cell) -> AssemblyMap:
    """b ↦ ∫ (b·∇u) v for velocities b with d channels; not symmetric.

    Advection-diffusion is the sum ``(diffusion(space)(κ) + advection(space)(b)).to_csr()``. This is Galerkin's form
    without stabilisation: oscillations are to be expected where |b| h > 2 κ.
    """
    d, components = space.dimension, space.components
    material = np.stack([np.kron(np.eye(components), row) for row in np.eye(d)[:, None]])
    test = value_matrix(space.tabulation, components)
    return _assembled(space, layout, test, material, gradient_matrix(space.tabulation, components), set())


def elasticity(space: FunctionSpace, layout: Layout = per_cell) -> AssemblyMap:
    """(λ, μ) ↦ ∫ λ ∇·u ∇·v + 2 μ ε(u):ε(v), the stiffness matrix of linear elasticity; symmetric.

    The channels are Lamé's constants, in Pa: `lame` gives them for solids and plane strain, `lame_plane_stress` for
    plane stress. In 2D forces are per unit of thickness. Rigid motions are in the kernel.

    Raises
    ------
    MeshError
        The space has not as many components as dimensions.
    """
    d = space.dimension
    if space.components != d or d < 2:
        raise MeshError(
            f"elasticity on {space.components} components in {d}-D: expected displacements with {d} components in 2D "
            "or 3D: FunctionSpace(mesh, degree, components=mesh.dimension)."
        )
    strains = strain_matrix(space.tabulation)
    normal = np.zeros(strains.shape[2])
    normal[:d] = 1.0
    # Shear strains are engineering strains γ = 2 ε: 2 μ ε:ε counts each of them once with μ γ².
    material = np.stack([np.outer(normal, normal), np.diag(1.0 + normal)])
    return _assembled(space, layout, strains, material, strains, {"symmetric"})


def _assembled(
    space: FunctionSpace, layout: Layout, test: Array, material: Array, trial: Array, tags: set[str]
) -> AssemblyMap:
    form = FormFactors(test, material, trial, space.tabulation.weights)
    chosen = layout(space, space.tabulation, space.cell_nodes)
    return assembly_map(form, chosen, space.entry_places, tags)
