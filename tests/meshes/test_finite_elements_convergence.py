"""Orders of convergence on manufactured solutions: degree + 1 in L2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from finite_element_grids import CELLS, grid
from torch import Tensor

from meshes import Mesh
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    diffusion,
    elasticity,
    l2_error,
    l2_norm,
    lame,
    load,
    per_quadrature_point,
    traction,
)
from solvers import CG, Jacobi, linear_solve

COEFFICIENT = torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64)
WAVES = torch.tensor([[1.7, 0.6, -0.5], [0.7, -1.4, 0.8], [-0.6, 0.9, 1.5]], dtype=torch.float64)


def bent(mesh: Mesh) -> Mesh:
    """No parallelograms: inner points along a smooth wave."""
    wave = 0.02 * np.prod(np.sin(2 * np.pi * mesh.points), axis=1, keepdims=True)
    return mesh.with_points(mesh.points + wave)


def solved(space: FunctionSpace, A, f: Tensor, exact: Callable[[Tensor], Tensor]) -> float:
    """Error of A u = f with the exact values on the boundary, by a better quadrature."""
    everywhere = DirichletCondition.on(space)
    g = exact(torch.from_numpy(space.nodes)).flatten()
    reduced, b = everywhere.eliminate(A, f, g)
    u = everywhere.extend(linear_solve(reduced, b, CG(rtol=1e-11, max_iterations=5000), Jacobi()).value, g)
    return float(l2_error(replace(space, quadrature_degree=space.quadrature_order + 2), u, exact))


def diffusion_error(mesh: Mesh, degree: int) -> float:
    """−∇·(κ ∇u) = f with u = sin(w·x), κ = 1 + k·x, hence f = κ |w|² sin − (k·w) cos."""
    space = FunctionSpace(mesh, degree)
    w, k = WAVES[0, : mesh.dimension], COEFFICIENT[: mesh.dimension]
    x = space.quadrature_points
    kappa = 1 + x @ k
    f = kappa * (w @ w) * torch.sin(x @ w) - (k @ w) * torch.cos(x @ w)
    A = diffusion(space, per_quadrature_point)(kappa.flatten())
    return solved(space, A, load(space, per_quadrature_point) @ f.flatten(), lambda x: torch.sin(x @ w))


def elasticity_error(mesh: Mesh, degree: int) -> float:
    """u_i = sin(w_i·x): f_k = (λ + μ) Σ_i w_ii w_ik sin(w_i·x) + μ |w_k|² sin(w_k·x)."""
    d = mesh.dimension
    space = FunctionSpace(mesh, degree, components=d)
    W = WAVES[:d, :d]
    moduli = lame(2.0, 0.3)
    waves = torch.sin(space.quadrature_points @ W.T)
    f = moduli.sum() * waves @ (W.diagonal()[:, None] * W) + moduli[1] * waves * W.square().sum(1)
    forces = load(space, per_quadrature_point) @ f.flatten()
    return solved(space, elasticity(space)(moduli), forces, lambda x: torch.sin(x @ W.T))


def order(error: Callable[[Mesh, int], float], kind: str, degree: int) -> float:
    n = {1: 8, 2: 16, 3: 4 if degree == 1 else 3}[grid(kind, 1).dimension]  # fine enough for the order to show
    coarse, fine = (error(bent(grid(kind, cells)), degree) for cells in (n, 2 * n))
    return float(np.log2(coarse / fine))


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("kind", CELLS)
def test_diffusion_converges_with_order_degree_plus_one(kind, degree):
    """‖u_h − u‖ = O(h^(p+1)), with a coefficient that varies inside of the cells."""
    assert order(diffusion_error, kind, degree) == pytest.approx(degree + 1, abs=0.1)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("kind", CELLS[1:])
def test_elasticity_converges_with_order_degree_plus_one(kind, degree):
    """‖u_h − u‖ = O(h^(p+1)) for plane strain and solids."""
    assert order(elasticity_error, kind, degree) == pytest.approx(degree + 1, abs=0.1)


@pytest.mark.parametrize(("kind", "degree"), [("triangle", 2), ("quad", 2), ("tetra", 2), ("hexahedron", 2)])
def test_quadratic_elements_reproduce_quadratic_functions(kind, degree):
    """−Δu = −2 with u = x² − y: the discrete solution is u itself, with a flux 2 on the right side."""
    space = FunctionSpace(grid(kind, 2), degree)
    x = torch.from_numpy(space.nodes)
    exact = x[:, 0] ** 2 - x[:, 1]
    held = DirichletCondition.on(space, "left", "rest")
    side = traction(space, "right")
    f = load(space) @ torch.full((space.cell_count,), -2.0, dtype=torch.float64)
    f = f + side @ torch.full((side.shape[1],), 2.0, dtype=torch.float64)
    A, b = held.eliminate(diffusion(space)(1.0), f, exact)
    u = held.extend(linear_solve(A, b, CG(rtol=1e-13), Jacobi()).value, exact)
    torch.testing.assert_close(u, exact, rtol=0, atol=1e-11)


def test_norms_are_integrals():
    """‖x‖² = 1/3 on the unit square; the norm of a batch is one number for each."""
    space = FunctionSpace(grid("quad", 2), 1)
    x = torch.from_numpy(space.nodes[:, 0])
    torch.testing.assert_close(l2_norm(space, torch.stack([x, 2 * x])).square(), torch.tensor([1.0, 4.0]).double() / 3)
