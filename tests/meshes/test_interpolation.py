"""Interpolation between meshes is exact where mathematics says so, and says what it does with points outside."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpolation_meshes import LINEAR, QUADRATIC, unit_cube

from meshes import Mesh, MeshError, facet_normals
from meshes.generate import structured_grid, to_simplices
from meshes.interpolation import (
    Blank,
    CellLocator,
    Extrapolate,
    Nearest,
    Refuse,
    interpolate_fields,
    interpolation_operator,
)
from meshes.interpolation.shape_functions import reference_nodes, shape_functions, shape_gradients


def linear(x):
    return 0.5 + x @ np.arange(1.0, x.shape[1] + 1)


def quadratic(x):
    return linear(x) + (x @ np.array([1.0, -2.0, 3.0])[: x.shape[1]]) ** 2


def applied(operator, values):
    return operator.mv(torch.from_numpy(np.ascontiguousarray(values))).numpy()


def random_points(dim, count=300, seed=3):
    return np.random.default_rng(seed).uniform(size=(count, dim))


@pytest.mark.parametrize("kind", [*LINEAR, *QUADRATIC])
def test_shape_functions_are_one_at_their_own_node_and_sum_to_one(kind):
    """N_i(x_j) = δ_ij, Σ N_i = 1, Σ ∇N_i = 0, ∇N = difference quotient."""
    nodes = reference_nodes(kind)
    np.testing.assert_array_equal(shape_functions(kind, nodes), np.eye(len(nodes)))
    x = random_points(nodes.shape[1], 20)
    gradients = shape_gradients(kind, x)
    np.testing.assert_allclose(shape_functions(kind, x).sum(axis=1), 1, atol=1e-13)
    np.testing.assert_allclose(gradients.sum(axis=1), 0, atol=1e-12)
    for axis, step in enumerate(1e-5 * np.eye(nodes.shape[1])):
        quotient = (shape_functions(kind, x + step) - shape_functions(kind, x - step)) / 2e-5
        np.testing.assert_allclose(gradients[:, :, axis], quotient, atol=1e-9)  # central differences: ε / step


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_cells_reproduce_linear_fields(kind):
    """P (A x + b) = A y + b, also between two meshes."""
    source = unit_cube(kind, 4)
    y = random_points(source.space_dimension)
    P = interpolation_operator(source, y)
    assert P.shape == (len(y), len(source.points))
    assert P.dtype == torch.float64
    np.testing.assert_allclose(applied(P, linear(source.points)), linear(y), rtol=0, atol=1e-12)
    np.testing.assert_allclose(applied(P, np.ones(len(source.points))), 1, atol=1e-13)
    target = unit_cube(kind, 5, seed=1)
    moved = interpolation_operator(source, target)
    np.testing.assert_allclose(applied(moved, linear(source.points)), linear(target.points), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", QUADRATIC)
def test_quadratic_cells_reproduce_quadratic_fields(kind):
    """P q(x) = q(y) for polynomials of total degree two on affine cells."""
    source = unit_cube(kind, 3, jitter=0.2 if kind in ("line3", "triangle6", "tetra10") else 0.0)
    y = random_points(source.space_dimension)
    P = interpolation_operator(source, y)
    np.testing.assert_allclose(applied(P, quadratic(source.points)), quadratic(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [*LINEAR, *QUADRATIC])
def test_interpolation_to_the_mesh_itself_is_the_identity(kind):
    """P = I at the nodes; values are nodal, weights in [0, 1] for linear cells."""
    mesh = unit_cube(kind, 3)
    dense = interpolation_operator(mesh, mesh).to_scipy().toarray()
    np.testing.assert_allclose(dense, np.eye(len(mesh.points)), atol=1e-9)  # the tolerance of membership


def test_a_locator_finds_the_cell_of_every_centroid_in_a_mesh_of_several_types():
    """Cells are counted through the blocks: triangles first, then quadrilaterals."""
    points = [[0, 0], [1, 0], [1, 1], [0, 1], [2, 0], [2, 1], [3, 0.5]]
    mesh = Mesh(points, {"triangle": [[4, 6, 5], [0, 1, 2], [0, 2, 3]], "quad": [[1, 4, 5, 2]]})
    location = CellLocator(mesh).locate([[2.3, 0.5], [0.7, 0.2], [0.2, 0.7], [1.5, 0.5], [3.5, 0.0]])
    assert location.cell.tolist() == [0, 1, 2, 3, -1]
    assert location.outside.tolist() == [4]
    P = interpolation_operator(mesh, [[2.3, 0.5], [0.7, 0.2], [1.25, 0.75]])
    np.testing.assert_allclose(applied(P, linear(mesh.points)), [0.5 + 3.3, 0.5 + 1.1, 0.5 + 2.75], atol=1e-13)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["line", "triangle", "quad", "tetra", "hexahedron"]))
def test_every_point_of_a_convex_domain_is_found_where_brute_force_finds_it(seed, kind):
    """The cell of largest depth among all cells; Σ N_i(ξ) x_i = y."""
    mesh = unit_cube(kind, 3, seed=seed)
    y = random_points(mesh.space_dimension, 40, seed)
    locator = CellLocator(mesh)
    found = locator.locate(y)
    assert (found.cell >= 0).all()
    assert (found.coordinates >= -1e-10).all()
    assert (found.coordinates <= 1 + 1e-10).all()
    every = np.arange(mesh.cell_count)
    for point, cell in zip(y, found.cell, strict=True):
        xi = locator.coordinates_in(every, np.repeat(point[None], len(every), axis=0))
        xi = xi[:, : mesh.space_dimension]
        walls = [xi.min(axis=1)]
        walls.append(1 - xi.sum(axis=1) if kind in ("line", "triangle", "tetra") else 1 - xi.max(axis=1))
        depth = np.where(np.isfinite(xi).all(axis=1), np.min(walls, axis=0), -np.inf)
        assert depth[cell] >= -1e-10
        assert depth[cell] == pytest.approx(depth.max(), abs=1e-9)


def test_location_does_not_suffer_from_grading():
    """Cells from 1 to 1e-9 in one mesh: every centroid is found in its own cell."""
    x = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 40)])
    mesh = to_simplices(structured_grid(x, x))
    centroids = mesh.points[mesh.block("triangle")].mean(axis=1)
    assert CellLocator(mesh).locate(centroids).cell.tolist() == list(range(mesh.cell_count))


def test_holes_and_notches_are_outside():
    """A square ring: the points of the hole lie in no cell, their nearest points on its rim."""
    grid = structured_grid([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0])
    ring = Mesh(grid.points, {"quad": np.delete(grid.block("quad"), 4, axis=0)})
    locator = CellLocator(ring)
    assert locator.locate([[1.5, 1.5], [1.2, 1.5], [0.5, 1.5]]).cell.tolist()[:2] == [-1, -1]
    near = locator.nearest(np.array([[1.2, 1.5], [4.0, 4.0]]))
    np.testing.assert_allclose(near.distance, [0.2, np.sqrt(2)], atol=1e-14)
    P = interpolation_operator(ring, [[1.2, 1.5], [4.0, 4.0]], Nearest())
    np.testing.assert_allclose(applied(P, grid.points[:, 0]), [1.0, 3.0], atol=1e-13)


@pytest.mark.parametrize("kind", ["line", "triangle", "quad", "tetra", "hexahedron", "triangle6"])
def test_policies_for_points_outside(kind):
    """Outside of [0, 1]^d: the projection min(max(y, 0), 1) is nearest, a linear field is extrapolated exactly."""
    mesh = unit_cube(kind, 3)
    dim = mesh.space_dimension
    y = np.random.default_rng(0).uniform(-0.5, 1.5, (200, dim))
    y[0], y[1] = 0.5, 1.25
    out = ((y < 0) | (y > 1)).any(axis=1)
    values = linear(mesh.points)
    with pytest.raises(MeshError, match=rf"{out.sum()} of 200 target points are outside of the mesh, the first is 1"):
        interpolation_operator(mesh, y, Refuse())
    nearest = interpolation_operator(mesh, y, Nearest())
    np.testing.assert_allclose(applied(nearest, values), linear(y.clip(0, 1)), atol=1e-11)
    if kind != "triangle6":
        assert nearest.values.min() >= -1e-10
    np.testing.assert_allclose(applied(interpolation_operator(mesh, y, Extrapolate()), values), linear(y), atol=1e-11)
    blank = applied(interpolation_operator(mesh, y, Blank()), values)
    assert (np.isnan(blank) == out).all()
    distance = np.linalg.norm(y - y.clip(0, 1), axis=1)
    far = int((distance > 0.1).sum())
    for policy in (Nearest(within=0.1), Extrapolate(within=0.1)):
        with pytest.raises(MeshError, match=f"{far} of 200 target points are further than 0.1 from the mesh"):
            interpolation_operator(mesh, y, policy)


def test_on_a_surface_points_are_projected():
    """A cylinder in 3D: its nodes are found, points off the surface are outside, and nearest is their projection."""
    angle, height = np.linspace(0, np.pi, 20), np.linspace(0, 1, 5)
    flat = structured_grid(angle, height)
    bent = np.column_stack([np.cos(flat.points[:, 0]), np.sin(flat.points[:, 0]), flat.points[:, 1]])
    for sheet in (Mesh(bent, {"quad": flat.block("quad")}), to_simplices(Mesh(bent, {"quad": flat.block("quad")}))):
        np.testing.assert_allclose(applied(interpolation_operator(sheet, bent), linear(bent)), linear(bent), atol=1e-12)
        locator = CellLocator(sheet)
        (kind,) = sheet.blocks()
        middle = bent[sheet.block(kind)].mean(axis=1)
        lifted = middle + 0.1 * facet_normals(sheet, sheet.blocks())[kind]
        assert locator.locate(middle).cell.tolist() == list(range(sheet.cell_count))
        assert locator.locate(lifted).outside.tolist() == list(range(sheet.cell_count))
        gap = locator.nearest(lifted)
        assert gap.cell.tolist() == list(range(sheet.cell_count))
        np.testing.assert_allclose(gap.distance, 0.1, rtol=1e-12)


def test_the_product_is_differentiable_in_the_field():
    """d(P f)/df = P."""
    mesh = unit_cube("triangle", 2)
    P = interpolation_operator(mesh, random_points(2, 5))
    field = torch.randn(3, len(mesh.points), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(P.mv, field.requires_grad_())


def test_fields_of_any_shape_go_from_mesh_to_mesh():
    """Vectors and whole numbers come along as float64; fields of the target stay."""
    source = unit_cube("tetra", 2)
    x = source.points
    source = Mesh(x, source.cells, {"u": linear(x), "x": x, "n": np.ones(len(x), dtype=int)})
    target = Mesh(y := random_points(3, 6), {}, {"own": np.arange(6)})
    carried = interpolate_fields(source, target)
    assert set(carried.point_data) == {"own", "u", "x", "n"}
    np.testing.assert_allclose(carried.point_data["x"], y, atol=1e-13)
    np.testing.assert_allclose(carried.point_data["n"], 1.0, atol=1e-13)
    with pytest.raises(MeshError, match="'z' is complex"):
        interpolate_fields(Mesh(x, source.cells, {"z": x[:, 0] * 1j}), target)


def test_bad_input_is_refused_by_name():
    square = unit_cube("triangle", 1)
    with pytest.raises(MeshError, match=r"target points \(2, 3\): expected \(m, 2\)"):
        interpolation_operator(square, np.zeros((2, 3)))
    with pytest.raises(MeshError, match="1 of 2 target points with NaN or infinity, the first is 1"):
        interpolation_operator(square, [[0.5, 0.5], [np.nan, 0.0]])
    with pytest.raises(MeshError, match="no cells of dimension 1 to 3"):
        CellLocator(Mesh([[0.0, 0.0]], {"vertex": [[0]]}))
    with pytest.raises(MeshError, match="'pyramid' cells have no shape functions"):
        CellLocator(Mesh(np.eye(5, 3), {"pyramid": [range(5)]}))
    with pytest.raises(MeshError, match="points of the mesh with NaN"):
        CellLocator(square.with_points(np.where(square.points == 1, np.inf, 0.0)))
    bent = unit_cube("triangle6", 1)
    moved = bent.points + 0.05 * (bent.points == 0.5).all(axis=1, keepdims=True)
    with pytest.raises(MeshError, match="2 of 2 triangle6 cells are curved, the first is 0"):
        CellLocator(bent.with_points(moved))
    sphere = Mesh(np.eye(4, 3), {"triangle": [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]})
    assert CellLocator(sphere).nearest(np.zeros((1, 3))).distance == 0


def test_no_targets_give_an_operator_without_rows():
    assert interpolation_operator(unit_cube("quad", 1), np.zeros((0, 2))).shape == (0, 4)
