"""L2 projection reproduces what both meshes represent, converges, and its twin keeps the integral exactly."""

import numpy as np
import pytest
import torch
from interpolation_meshes import LINEAR, unit_cube

from meshes import Mesh, MeshError, cell_volumes
from meshes.generate import structured_grid, to_simplices
from meshes.interpolation import (
    Blank,
    CellLocator,
    Nearest,
    conservative_projection,
    intersection_projection,
    l2_projection,
)
from meshes.interpolation.quadrature import cell_quadrature, reference_quadrature

KINDS = [*LINEAR, "triangle6", "tetra10", "quad9"]


def field_on(mesh):
    """Neither linear nor smooth on the mesh: random nodal values."""
    return torch.from_numpy(np.random.default_rng(5).uniform(-1, 1, len(mesh.points)))


def integral(mesh, field):
    """∫ f by the mass matrix of the mesh: 1ᵀ M f."""
    return float(l2_projection(mesh, mesh).mass.mv(field).sum())


@pytest.mark.parametrize("kind", LINEAR)
def test_quadrature_is_exact_for_polynomials(kind):
    """Σ w = volume; Σ w (x·a)⁴ = ∫ (x·a)⁴ over the unit cube, on jittered cells that are affine."""
    mesh = unit_cube(kind, 2, jitter=0.2 if kind in ("line", "triangle", "tetra") else 0.0)
    _, points, weights = cell_quadrature(CellLocator(mesh), 4)
    assert weights.sum() == pytest.approx(sum(v.sum() for v in cell_volumes(mesh).values()), rel=1e-12)
    for axis in range(points.shape[1]):
        assert weights @ points[:, axis] ** 4 == pytest.approx(1 / 5, rel=1e-12)
    with pytest.raises(MeshError, match="degree 0"):
        reference_quadrature(kind, 0)


def test_a_degree_beyond_the_tables_is_refused():
    with pytest.raises(MeshError, match="degree 99 on triangle cells: not tabulated"):
        reference_quadrature("triangle", 99)


@pytest.mark.parametrize("kind", KINDS)
def test_projection_reproduces_what_both_meshes_represent(kind):
    """g = a·x + b for f = a·x + b."""
    source, target = unit_cube(kind, 3, jitter=0.1), unit_cube(kind, 2, seed=1, jitter=0.1)
    values = torch.from_numpy(1 + source.points.sum(axis=1))
    g = l2_projection(source, target)(values)
    np.testing.assert_allclose(g, 1 + target.points.sum(axis=1), atol=1e-9)  # the solve's 1e-12 times cond(M)


@pytest.mark.parametrize("kind", KINDS)
def test_conservative_projection_keeps_the_integral_of_any_field(kind):
    """1ᵀ M g = Σ_q w_q f(x_q) = ∫ f, to rounding."""
    source, target = unit_cube(kind, 3, jitter=0.1), unit_cube(kind, 2, seed=1, jitter=0.1)
    f = field_on(source)
    projection = conservative_projection(source, target)
    volume = float(projection.load.mv(torch.ones(len(f), dtype=torch.float64)).sum())
    assert volume == pytest.approx(1, rel=1e-12)
    assert float(projection.mass.mv(projection(f)).sum()) == pytest.approx(integral(source, f), abs=1e-10)


def test_l2_projection_keeps_the_integral_up_to_quadrature():
    """|∫ g − ∫ f| falls with the degree of the rule and is far below that of interpolation."""
    source, target = unit_cube("triangle", 12), unit_cube("triangle", 5, seed=1)
    f = field_on(source)
    errors = []
    for degree in (2, 6, 16):
        projection = l2_projection(source, target, degree=degree)
        errors.append(abs(float(projection.mass.mv(projection(f)).sum()) - integral(source, f)))
    assert errors[2] < errors[0] / 5
    assert errors[2] < 2e-3


def test_projection_onto_the_same_mesh_is_the_identity():
    """M g = M f."""
    mesh = unit_cube("tetra", 2)
    f = field_on(mesh)
    for projection in (l2_projection(mesh, mesh), conservative_projection(mesh, mesh)):
        np.testing.assert_allclose(projection(f), f, atol=1e-9)


def test_projection_converges_with_order_two():
    """‖g − f‖∞ falls by four when both meshes are halved."""
    errors = []
    for n in (4, 8, 16):
        source, target = unit_cube("triangle", 2 * n), unit_cube("quad", n, seed=1)
        f, exact = (torch.from_numpy(np.sin(3 * m.points).prod(axis=1)) for m in (source, target))
        error = l2_projection(source, target)(f) - exact
        mass = l2_projection(target, target).mass
        errors.append(float((error * mass.mv(error)).sum().sqrt()))
    assert np.log2(errors[0] / errors[2]) / 2 > 1.8


def test_projection_is_differentiable_and_batched():
    """∂/∂f Σ c·g = Bᵀ M⁻¹ c."""
    source, target = unit_cube("quad", 2), unit_cube("triangle", 2, seed=1)
    projection = l2_projection(source, target)
    f = torch.stack([field_on(source), 2 * field_on(source)]).requires_grad_()
    assert projection(f).shape == (2, len(target.points))
    assert torch.autograd.gradcheck(projection, f, rtol=1e-4, atol=1e-8)


def test_domains_that_differ_need_a_policy():
    """The target reaches further than the source: refused, or the nearest value."""
    source, target = unit_cube("quad", 2), unit_cube("quad", 2)
    target = target.with_points(1.2 * target.points)
    with pytest.raises(MeshError, match="target points are outside"):
        l2_projection(source, target)
    with pytest.raises(MeshError, match="quadrature points have no cell"):
        l2_projection(source, target, Blank())
    constant = torch.ones(len(source.points), dtype=torch.float64)
    np.testing.assert_allclose(l2_projection(source, target, Nearest())(constant), 1, atol=1e-10)


@pytest.mark.parametrize("kinds", [("triangle", "triangle"), ("triangle6", "triangle"), ("triangle6", "triangle6")])
def test_projection_by_intersections_is_exact_and_conservative(kinds):
    """g = f for f linear (quadratic between quadratic meshes), 1ᵀ M g = ∫ f, B 1 = M 1."""
    source, target = unit_cube(kinds[0], 5), unit_cube(kinds[1], 3, seed=1)
    projection = intersection_projection(source, target)
    power = 2 if kinds == ("triangle6", "triangle6") else 1
    f = torch.from_numpy((1 + source.points.sum(axis=1)) ** power)
    np.testing.assert_allclose(projection(f), (1 + target.points.sum(axis=1)) ** power, atol=1e-9)
    rough = field_on(source)
    assert float(projection.mass.mv(projection(rough)).sum()) == pytest.approx(integral(source, rough), abs=1e-11)
    ones = [torch.ones(n, dtype=torch.float64) for n in projection.load.shape]
    np.testing.assert_allclose(projection.load.mv(ones[1]), projection.mass.mv(ones[0]), atol=1e-14)


def test_intersection_is_the_limit_of_quadrature():
    """‖B(degree) − B‖ falls as the rule gets finer; inverted cells count like others."""
    source, target = unit_cube("triangle", 5), unit_cube("triangle", 3, seed=1)
    exact = intersection_projection(source, target).load.to_scipy()
    errors = [np.abs(l2_projection(source, target, degree=d).load.to_scipy() - exact).max() for d in (2, 6, 16)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05 * np.abs(exact).max()
    turned = Mesh(source.points, {"triangle": source.block("triangle")[:, [0, 2, 1]]})
    assert np.abs(intersection_projection(turned, target).load.to_scipy() - exact).max() < 1e-15


def test_intersections_need_triangles_on_one_domain():
    mesh = unit_cube("triangle", 2)
    with pytest.raises(MeshError, match="intersections are made of triangles in the plane; the mesh has quad"):
        intersection_projection(mesh, unit_cube("quad", 2))
    with pytest.raises(MeshError, match=r"share 0\.25 of their area only"):
        intersection_projection(mesh, mesh.with_points(2 * mesh.points))
    half = intersection_projection(mesh, mesh.with_points(2 * mesh.points), uncovered=0.8)
    assert float(half.load.values.sum()) == pytest.approx(1.0, rel=1e-12)


def test_projections_refuse_what_they_cannot_reach():
    """Target cells beyond the source, whichever mesh the quadrature is on; target points without a cell."""
    axis = np.linspace(0, 1, 6)
    small, large = (to_simplices(structured_grid(k * axis - (k > 1), k * axis - (k > 1))) for k in (1, 3))
    for projection in (l2_projection, conservative_projection):
        with pytest.raises(MeshError, match=r"no cell|outside"):
            projection(small, large)
    orphaned = Mesh(np.vstack([small.points, [[0.5, 0.55]]]), small.cells)
    with pytest.raises(MeshError, match=r"1 points of the target that no cell uses, such as 36: .*repair_mesh"):
        l2_projection(small, orphaned)
