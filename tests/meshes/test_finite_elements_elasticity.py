"""Elasticity: patch tests, rigid motions, plane stress and strain, stresses, Cook's membrane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_element_grids import CELLS, grid, shaken
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import MeshError
from meshes.finite_elements import (
    DirichletCondition,
    FunctionSpace,
    cell_gradients,
    dofs_on,
    elasticity,
    lame,
    lame_plane_stress,
    nodal_gradients,
    quadrature_gradients,
    quadrature_values,
    stress,
    traction,
    von_mises,
)
from solvers import SuperLU, linear_solve

SOLIDS = [(kind, degree) for kind in CELLS[1:] for degree in (1, 2)]


def displacements(kind: str, degree: int, n: int = 2, seed: int = 0) -> FunctionSpace:
    mesh = shaken(grid(kind, n), seed=seed)
    return FunctionSpace(mesh, degree, components=mesh.dimension)


def linear_field(space: FunctionSpace, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A gradient ``(d, d)`` and the displacements x ↦ G x."""
    d = space.dimension
    gradient = torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return gradient, (torch.from_numpy(space.nodes) @ gradient.T).flatten()


@pytest.mark.parametrize(("kind", "degree"), SOLIDS)
def test_the_patch_test_is_exact(kind, degree):
    """u = G x on the boundary and no forces: u = G x inside, on any mesh, to 1e-10, and so is its stress."""
    space = displacements(kind, degree)
    gradient, exact = linear_field(space)
    moduli = lame(1.0, 0.3)
    held = DirichletCondition.on(space)
    A, b = held.eliminate(elasticity(space)(moduli), torch.zeros_like(exact), exact)
    u = held.extend(linear_solve(A, b, SuperLU()).value, exact)
    torch.testing.assert_close(u, exact, rtol=0, atol=1e-10)
    d = space.dimension
    means = (cell_gradients(space) @ u).unflatten(-1, (space.cell_count, d, d))
    torch.testing.assert_close(means, gradient.expand_as(means), rtol=0, atol=1e-10)
    torch.testing.assert_close(stress(means, moduli)[0], stress(gradient, moduli), rtol=0, atol=1e-10)


@pytest.mark.parametrize("law", [lame, lame_plane_stress])
def test_a_bar_under_tension_obeys_hooke(law):
    """Rollers, traction t on x = 1: plane stress ε_xx = t/E, ε_yy = −ν t/E; plane strain has E/(1−ν²) and ν/(1−ν)."""
    E, nu, t = 200.0, 0.3, 3.0
    space = displacements("quad", 1)
    rollers = np.concatenate([dofs_on(space, "left", component=0), [1]])
    held = DirichletCondition(space, rollers)
    T = traction(space, "right")
    pull = torch.zeros(T.shape[1], dtype=torch.float64)
    pull[::2] = t
    A, b = held.eliminate(elasticity(space)(law(E, nu)), T @ pull)
    u = held.extend(linear_solve(A, b, SuperLU()).value)
    gradient = (nodal_gradients(space) @ u).unflatten(-1, (-1, 2, 2))[0]
    E, nu = (E, nu) if law is lame_plane_stress else (E / (1 - nu**2), nu / (1 - nu))
    expected = torch.tensor([[t / E, 0.0], [0.0, -nu * t / E]], dtype=torch.float64)
    torch.testing.assert_close(0.5 * (gradient + gradient.T), expected, rtol=0, atol=1e-12)
    sigma = stress(gradient, law(200.0, 0.3))
    torch.testing.assert_close(von_mises(sigma), torch.tensor(t, dtype=torch.float64))


@settings(deadline=None, max_examples=12)
@given(case=st.sampled_from(SOLIDS), seed=st.integers(0, 2**16))
def test_rigid_motions_cost_no_energy(case, seed):
    """A (a + W x) = 0 for skew W."""
    space = displacements(*case, seed=seed)
    gradient, u = linear_field(space, seed)
    skew = gradient - gradient.T
    u = (torch.from_numpy(space.nodes) @ skew.T + gradient[0]).flatten()
    force = elasticity(space)(lame(1.0, 0.3)) @ u
    assert float(force.abs().max()) < 1e-12 * max(1.0, float(u.abs().max()))


@pytest.mark.parametrize(("kind", "degree"), SOLIDS)
def test_every_gradient_of_a_linear_field_is_its_gradient(kind, degree):
    """Of means, at nodes and at quadrature points; and values at quadrature points are those of the field."""
    space = displacements(kind, degree)
    gradient, u = linear_field(space)
    for operator in (cell_gradients(space), nodal_gradients(space), quadrature_gradients(space)):
        found = (operator @ u).unflatten(-1, (-1, space.dimension, space.dimension))
        torch.testing.assert_close(found, gradient.expand_as(found), rtol=0, atol=1e-11)
    values = (quadrature_values(space) @ u).view_as(space.quadrature_points)
    torch.testing.assert_close(values, space.quadrature_points @ gradient.T, rtol=0, atol=1e-12)


def test_cooks_membrane_reaches_the_known_deflection():
    """Plane stress, E = 1, ν = 1/3, shear force 1: the middle of the right side rises by 23.96."""
    mesh = grid("quad", 16)
    x, y = mesh.points.T
    membrane = mesh.with_points(np.stack([48 * x, 44 * x * (1 - y) + y * (44 + 16 * x)], axis=1))
    space = FunctionSpace(membrane, degree=2, components=2)
    clamped, T = DirichletCondition.on(space, "left"), traction(space, "right")
    shear = torch.tensor([0.0, 1 / 16], dtype=torch.float64).repeat(T.shape[1] // 2)
    A, b = clamped.eliminate(elasticity(space)(lame_plane_stress(1.0, 1 / 3)), T @ shear)
    u = clamped.extend(linear_solve(A, b, SuperLU()).value)
    middle = int(np.flatnonzero((space.nodes == [48.0, 52.0]).all(axis=1))[0])
    assert float(u[2 * middle + 1]) == pytest.approx(23.96, abs=0.02)


def test_materials_and_spaces_that_do_not_fit_are_named():
    with pytest.raises(MeshError, match=r"Poisson ratios from 0.5 to 0.5: expected −1 < ν < 0.5"):
        lame(1.0, 0.5)
    with pytest.raises(MeshError, match="elasticity on 1 components in 2-D: expected displacements with 2"):
        elasticity(FunctionSpace(grid("triangle", 1)))


def test_the_stress_measure_has_a_gradient_at_zero():
    """√ has none at 0: the gradient there is 0, not NaN."""
    sigma = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    von_mises(sigma).backward()
    assert bool((sigma.grad == 0).all())
