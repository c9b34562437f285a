"""Volume morphing: affine maps, identities, targets met, P1 stiffness, holes, folds found and reported."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_geometry_topology import cubes
from test_morphing_embedding import blob, notched_plate

from meshes import Mesh, MeshError, MorphingError, boundary, cell_volumes
from meshes.morphing import (
    ElasticMorphing,
    HarmonicMorphing,
    Polyharmonic,
    RadialBasisMorphing,
    WendlandC2,
    boundary_targets,
    fold_report,
    radial_basis_displacements,
)
from meshes.morphing.radial_basis import farthest_points
from meshes.morphing.simplices import elastic_matrices, laplace_matrices, shape_gradients, simplices

KERNELS = [Polyharmonic(1), Polyharmonic(2), Polyharmonic(3), WendlandC2(), WendlandC2(0.3)]
MORPHINGS = [HarmonicMorphing(), ElasticMorphing(), RadialBasisMorphing(), RadialBasisMorphing(WendlandC2())]


def tetrahedra(n: int) -> Mesh:
    """A cube of n³ shaken cubes, each cut into six tetrahedra around its diagonal."""
    box = cubes(n, n, n)
    around = [(1, 2), (2, 3), (3, 7), (7, 4), (4, 5), (5, 1)]
    hexahedra = box.cells["hexahedron"]
    cells = np.concatenate([hexahedra[:, [0, a, b, 6]] for a, b in around])
    inner = ((box.points > 0) & (box.points < n)).all(axis=1)
    shake = np.random.default_rng(0).uniform(-0.15, 0.15, box.points.shape) * inner[:, None]
    return Mesh((box.points + shake) / n, {"tetra": cells})


def quads(n: int) -> Mesh:
    x = np.stack(np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"), -1).reshape(-1, 2) / n
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    corners = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    inner = ((x > 0) & (x < 1)).all(axis=1)
    shake = np.random.default_rng(0).uniform(-0.2, 0.2, x.shape) * inner[:, None] / n
    return Mesh(x + shake, {"quad": np.stack([c.ravel() for c in corners], axis=1)})


def shaken_cubes() -> Mesh:
    box = cubes(3, 4, 3)
    return box.with_points(box.points + 0.1 * np.random.default_rng(1).uniform(-1, 1, box.points.shape))


MESHES = {"triangle": blob(4), "quad": quads(6), "tetra": tetrahedra(4), "hexahedron": shaken_cubes()}


def name(value):
    return value if isinstance(value, str) else repr(value)


@pytest.mark.parametrize("morphing", [m for m in MORPHINGS if not isinstance(m, ElasticMorphing)], ids=name)
@pytest.mark.parametrize("kind", MESHES)
def test_affine_maps_are_reproduced(morphing, kind):
    """If the boundary moves by x ↦ B x + c, every node does."""
    mesh = MESHES[kind]
    _, rim = boundary(mesh)
    goal = affine(mesh.points)
    moved = morphing.apply(mesh, rim, goal[rim])
    np.testing.assert_allclose(moved.mesh.points, goal, atol=1e-7)
    assert moved.folds.count == 0
    assert moved.folds.volume_ratios == pytest.approx((1, 1), abs=1e-5)


def affine(points):
    dim = points.shape[1]
    return points @ (np.eye(dim) + 0.3 * np.random.default_rng(2).uniform(-1, 1, (dim, dim))) + 2.0


@pytest.mark.parametrize("morphing", MORPHINGS, ids=name)
@pytest.mark.parametrize("kind", MESHES)
def test_translations_are_reproduced_and_the_identity_is_exact(morphing, kind):
    """x ↦ x + c; the elastic body too, whatever its stiffness."""
    mesh = MESHES[kind]
    _, rim = boundary(mesh)
    still = morphing.apply(mesh, rim, mesh.points[rim])
    np.testing.assert_array_equal(still.mesh.points, mesh.points)
    moved = morphing.apply(mesh, rim, mesh.points[rim] + 0.7)
    np.testing.assert_allclose(moved.mesh.points, mesh.points + 0.7, atol=1e-8)


@pytest.mark.parametrize("mesh", [shaken_cubes, lambda: tetrahedra(4)], ids=["hexahedron", "tetra"])
def test_multigrid_and_elimination_give_the_same_elastic_body(mesh, monkeypatch):
    """CG with aggregation on rigid motions solves what SuperLU solves."""
    from meshes.morphing import elastic
    from solvers import SuperLU

    mesh = mesh()
    _, rim = boundary(mesh)
    goal = mesh.points[rim] + 0.05 * np.sin(3 * mesh.points[rim][:, ::-1])
    iterated = ElasticMorphing().apply(mesh, rim, goal).mesh.points
    direct = elastic.solve_given

    def eliminated(triplets, fixed, given, n, *_):
        return direct(triplets, fixed, given, n, SuperLU())

    monkeypatch.setattr(elastic, "solve_given", eliminated)
    np.testing.assert_allclose(iterated, ElasticMorphing().apply(mesh, rim, goal).mesh.points, atol=1e-8)


def test_an_elastic_body_of_equal_cells_follows_affine_maps():
    """E = 1/V is then constant, and a constant strain is in equilibrium."""
    x = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0), indexing="ij"), -1).reshape(-1, 2)
    mesh = quads(5).with_points(x @ [[1.0, 0.0], [0.4, 1.0]])
    _, rim = boundary(mesh)
    moved = ElasticMorphing().apply(mesh, rim, affine(mesh.points)[rim])
    np.testing.assert_allclose(moved.mesh.points, affine(mesh.points), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), kernel=st.sampled_from(KERNELS), dim=st.sampled_from([2, 3]))
def test_radial_basis_functions_interpolate_and_reproduce_affine_maps(seed, kernel, dim):
    """s(c_j) = d_j, and s = B x + c everywhere if the d_j are."""
    random = np.random.default_rng(seed)
    centres, values, points = (torch.from_numpy(random.standard_normal((n, dim))) for n in (40, 40, 70))
    torch.testing.assert_close(radial_basis_displacements(centres, values, centres, kernel), values, rtol=0, atol=1e-7)
    B, c = (torch.from_numpy(random.standard_normal(shape)) for shape in ((dim, dim), (dim,)))
    affine = radial_basis_displacements(centres, centres @ B + c, points, kernel)
    torch.testing.assert_close(affine, points @ B + c, rtol=0, atol=1e-7)


def test_radial_basis_functions_agree_with_scipy():
    """The thin plate through the same points is the same function (in the plane it does not depend on the scale)."""
    from scipy.interpolate import RBFInterpolator

    random = np.random.default_rng(0)
    centres, values, points = (random.uniform(0, 3, (n, 2)) for n in (50, 50, 200))
    for order, kernel in ((2, "thin_plate_spline"), (3, "cubic")):
        theirs = RBFInterpolator(centres, values, kernel=kernel)(points)
        ours = radial_basis_displacements(*map(torch.from_numpy, (centres, values, points)), Polyharmonic(order))
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_radial_basis_displacements_are_differentiable():
    centres, values, points = (torch.randn(n, 2, dtype=torch.float64, requires_grad=True) for n in (6, 6, 3))
    assert torch.autograd.gradcheck(partial(radial_basis_displacements, kernel=WendlandC2()), (centres, values, points))


def test_farthest_points_cover_the_set():
    """No point is farther from the chosen ones than the chosen ones are from each other."""
    points = np.random.default_rng(0).uniform(size=(500, 2))
    chosen = farthest_points(points, 40)
    gaps = np.linalg.norm(points[chosen][:, None] - points[chosen][None], axis=2)
    reach = np.linalg.norm(points[:, None] - points[chosen][None], axis=2).min(axis=1).max()
    assert len(np.unique(chosen)) == 40
    assert reach <= gaps[gaps > 0].min()


def test_fewer_control_points_miss_their_targets_by_little_and_say_so():
    mesh = notched_plate(0.1)
    _, rim = boundary(mesh)
    goal = mesh.points + 0.05 * np.sin(2 * mesh.points[:, ::-1])
    every, some = (RadialBasisMorphing(most=most).apply(mesh, rim, goal[rim]) for most in (2000, 50))
    assert every.miss < 1e-10
    assert 1e-10 < some.miss < 5e-3


@pytest.mark.parametrize("kind", MESHES)
def test_the_stiffness_is_the_energy_of_linear_functions(kind):
    """uᵀ K u = ∫ |∇u|² = |g|² V for u = g · x, rigid motions have no elastic energy, and the pieces fill the mesh."""
    mesh = MESHES[kind]
    points, cells = torch.from_numpy(mesh.points.copy()), simplices(mesh)
    volume = sum(v.sum() for v in cell_volumes(mesh).values())
    pieces, _ = shape_gradients(points, cells.nodes)
    if kind != "hexahedron":  # whose faces are not plane
        assert (cells.share * pieces.abs()).sum() == pytest.approx(volume)
    g = torch.arange(1.0, mesh.space_dimension + 1, dtype=torch.float64)
    u = (points @ g)[cells.nodes]
    energy = torch.einsum("ki,kij,kj->", u, laplace_matrices(points, cells), u)
    assert energy == pytest.approx(float(g @ g) * float((cells.share * pieces.abs()).sum()))
    spin = torch.randn(mesh.space_dimension, mesh.space_dimension, dtype=torch.float64)
    turned = (points @ (spin - spin.mT) + g)[cells.nodes].flatten(1)
    forces = torch.einsum("kij,kj->ki", elastic_matrices(points, cells, 0.3), turned)
    assert forces.abs().max() < 1e-9


def test_harmonic_morphing_is_the_p1_solution():
    """−Δu = 0 with given boundary values, by scikit-fem on the same mesh."""
    skfem = pytest.importorskip("skfem")
    from skfem.models.poisson import laplace

    mesh = notched_plate(0.15)
    _, rim = boundary(mesh)
    goal = mesh.points + 0.05 * np.sin(3 * mesh.points[:, ::-1])
    basis = skfem.Basis(skfem.MeshTri(mesh.points.T.copy(), mesh.cells["triangle"].T.copy()), skfem.ElementTriP1())
    K = laplace.assemble(basis)
    moved = HarmonicMorphing().apply(mesh, rim, goal[rim])
    for component in range(2):
        shift = np.zeros(len(mesh.points))
        shift[rim] = (goal - mesh.points)[rim, component]
        expected = skfem.solve(*skfem.condense(K, np.zeros_like(shift), x=shift, D=rim))
        np.testing.assert_allclose(moved.mesh.points[:, component] - mesh.points[:, component], expected, atol=1e-10)


@pytest.mark.parametrize("morphing", MORPHINGS, ids=name)
def test_a_plate_takes_the_shape_of_its_reference(morphing):
    """Boundary by arc length between eight corners, each corner on its own; boundary and area of the reference."""
    mesh, reference = notched_plate(0.1, seed=1), notched_plate(0.07, seed=2)
    reference = reference.with_points(reference.points @ [[1.2, 0.1], [0.0, 0.9]])
    corners = [f"corner_{i}" for i in range(8)]
    nodes, targets = boundary_targets(mesh, reference, corners)
    moved = morphing.apply(mesh, nodes, targets)
    for corner in corners:
        np.testing.assert_allclose(
            moved.mesh.points[mesh.node_set(corner)], reference.points[reference.node_set(corner)], atol=1e-9
        )
    areas = [cell_volumes(m)["triangle"].sum() for m in (moved.mesh, reference)]
    assert areas[0] == pytest.approx(areas[1], rel=2e-3)
    assert moved.folds.min_scaled_jacobian > 0


def perforated(centres, n=16, seed=0):
    """A square with round holes whose rims are numbered from anywhere."""
    from scipy.spatial import Delaunay

    random = np.random.default_rng(seed)
    turn = 2 * np.pi * (np.arange(n) + random.uniform()) / n
    ring = 0.2 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rims = [np.asarray(c) + np.roll(ring, random.integers(n), axis=0) for c in centres]
    side = np.linspace(0, 1, 9)[:-1]
    outer = np.concatenate([np.stack([2 * side, 0 * side], 1), np.stack([0 * side + 2, side], 1)])
    seeds = random.uniform(0, 1, (400, 2)) * [2, 1]
    clear = np.min([np.linalg.norm(seeds - c, axis=1) for c in centres], axis=0) > 0.24
    inside = (np.minimum(seeds, [2, 1] - seeds).min(axis=1) > 0.04) & clear
    points = np.concatenate([outer, [2, 1] - outer, *rims, seeds[inside]])
    triangles = Delaunay(points).simplices
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = np.where(area[:, None] > 0, triangles, triangles[:, ::-1])
    middle = (a + b + c) / 3
    hollow = np.min([np.linalg.norm(middle - c, axis=1) for c in centres], axis=0) < 0.19
    return Mesh(points, {"triangle": triangles[~hollow & (np.abs(area) > 1e-9)]})


def test_holes_go_to_the_holes_that_lie_alike():
    """Two holes, moved: each node of a rim lands on the rim of its own hole, without turning around it."""
    mesh, reference = perforated([(0.5, 0.5), (1.5, 0.5)], seed=1), perforated([(1.55, 0.45), (0.6, 0.6)], seed=2)
    nodes, targets = boundary_targets(mesh, reference)
    for centre, image in (((0.5, 0.5), (0.6, 0.6)), ((1.5, 0.5), (1.55, 0.45))):
        mine = np.linalg.norm(mesh.points[nodes] - centre, axis=1) < 0.21
        assert mine.sum() == 16
        np.testing.assert_allclose(targets[mine] - image, mesh.points[nodes[mine]] - centre, atol=0.03)
    assert ElasticMorphing().apply(mesh, nodes, targets).folds.count == 0


def test_a_mesh_is_its_own_reference():
    """The starting point of each loop is found to the accuracy of a scalar minimisation, √eps of the perimeter."""
    mesh = perforated([(0.5, 0.5)])
    nodes, targets = boundary_targets(mesh, mesh)
    np.testing.assert_allclose(targets, mesh.points[nodes], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((perforated([(0.5, 0.5)]), notched_plate(0.2)), MorphingError, "1 holes, the reference 0"),
        ((notched_plate(0.2), notched_plate(0.2), ["nose"]), MeshError, "node set 'nose'"),
        ((tetrahedra(2), tetrahedra(2)), MeshError, "3-D cells.*in the plane"),
    ],
)
def test_boundaries_that_do_not_correspond_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        boundary_targets(*arguments)


def crushed(mesh: Mesh):
    """The right part of the outline pushed through the left."""
    _, rim = boundary(mesh)
    goal = mesh.points[rim].copy()
    goal[:, 0] -= 4.0 * np.clip(goal[:, 0], 0, None) ** 2
    return rim, goal


@pytest.mark.parametrize("morphing", MORPHINGS, ids=name)
def test_a_fold_is_an_error_that_counts_cells_and_names_a_remedy(morphing):
    mesh = blob(2)
    rim, goal = crushed(mesh)
    with pytest.raises(MorphingError, match=r"\d+ folded cells \(triangle \d+ at \(.*minimal scaled Jacobian -.*; "):
        morphing.apply(mesh, rim, goal)
    report = morphing.apply(mesh, rim, goal, throw=False).folds
    assert report.count == len(report.cells["triangle"]) == len(report.centroids["triangle"]) > 0
    assert report.min_scaled_jacobian < 0
    assert report.volume_ratios[0] < 0


def test_the_report_lists_exactly_the_folded_cells():
    """A node dragged across the opposite edge of one of its triangles inverts what its signed area says."""
    mesh = quads(4)
    points = mesh.points.copy()
    points[12] = [0.9, 0.45]
    report = fold_report(mesh, mesh.with_points(points))
    corners = points[mesh.cells["quad"]]
    edges = np.roll(corners, -1, axis=1) - corners
    back = -np.roll(edges, 1, axis=1)
    turn = edges[..., 0] * back[..., 1] - edges[..., 1] * back[..., 0]
    np.testing.assert_array_equal(report.cells["quad"], np.flatnonzero((turn <= 0).any(axis=1)))
    assert "folded cells (quad" in str(report)
    assert str(fold_report(mesh, mesh)).startswith("no folded cells, minimal")


def test_elastic_steps_go_where_one_harmonic_step_folds():
    """A rotation of the inner rim by 100°: one harmonic step folds, increments on the deformed mesh do not."""
    mesh = annulus(10, 48)
    _, rim = boundary(mesh)
    inner = np.linalg.norm(mesh.points[rim], axis=1) < 0.6
    turn = np.radians(100)
    goal = mesh.points[rim].copy()
    goal[inner] = goal[inner] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    assert HarmonicMorphing().apply(mesh, rim, goal, throw=False).folds.count > 0
    moved = ElasticMorphing(steps=10).apply(mesh, rim, goal)
    assert moved.folds.count == 0
    np.testing.assert_allclose(moved.mesh.points[rim], goal, atol=1e-12)


def test_radial_basis_functions_go_in_steps_where_one_folds():
    """The same rotation; affine maps stay exact, for every step is one."""
    mesh = annulus(10, 48)
    _, rim = boundary(mesh)
    inner = np.linalg.norm(mesh.points[rim], axis=1) < 0.6
    turn = np.radians(100)
    goal = mesh.points[rim].copy()
    goal[inner] = goal[inner] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    assert RadialBasisMorphing().apply(mesh, rim, goal, throw=False).folds.count > 0
    steps = RadialBasisMorphing(steps=10)
    moved = steps.apply(mesh, rim, goal)
    assert moved.folds.count == 0
    np.testing.assert_allclose(moved.mesh.points[rim], goal, atol=1e-9)
    B = np.array([[1.5, 0.2], [-0.1, 0.8]])
    np.testing.assert_allclose(steps.apply(mesh, rim, mesh.points[rim] @ B).mesh.points, mesh.points @ B, atol=1e-9)


def annulus(layers: int, around: int) -> Mesh:
    r, t = np.meshgrid(np.linspace(0.5, 1, layers + 1), 2 * np.pi * np.arange(around) / around, indexing="ij")
    number = np.arange(r.size).reshape(r.shape)
    a, b, c, d = number[:-1], number[1:], np.roll(number[1:], -1, axis=1), np.roll(number[:-1], -1, axis=1)
    cells = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Mesh(np.stack([r * np.cos(t), r * np.sin(t)], -1).reshape(-1, 2), {"triangle": cells})


@pytest.mark.parametrize(
    ("nodes", "targets", "message"),
    [
        ([], [], "expected .m,. node numbers, m ≥ 1"),
        ([[0]], [[0.0, 0.0]], r"shape \(1, 1\)"),
        ([0.5], [[0.0, 0.0]], "float64"),
        ([999], [[0.0, 0.0]], "from 999 to 999: the mesh has"),
        ([0, 1], [[0.0, 0.0]], r"targets \(1, 2\): expected \(2, 2\)"),
        ([0], [[0.0, np.nan]], r"targets of 1 control nodes \(0\) are not finite"),
        ([3, 3], np.zeros((2, 2)), r"more than once \(3\)"),
    ],
)
@pytest.mark.parametrize("morphing", MORPHINGS[:3], ids=name)
def test_unfit_controls_are_named(morphing, nodes, targets, message):
    with pytest.raises(MorphingError, match=message):
        morphing.apply(blob(0), nodes, targets)


def test_each_part_needs_control_nodes():
    mesh = blob(0)
    n = len(mesh.points)
    two = Mesh(
        np.concatenate([mesh.points, mesh.points + 5]),
        {"triangle": np.concatenate([mesh.cells["triangle"], mesh.cells["triangle"] + n])},
    )
    with pytest.raises(MorphingError, match=rf"1 of 2 connected parts have no control node .*node {n}\)"):
        HarmonicMorphing().apply(two, [0], two.points[:1])


def test_an_elastic_body_must_be_held():
    with pytest.raises(MorphingError, match=r"from 1 control nodes: .*Expected enough of them to hold the body"):
        ElasticMorphing().apply(blob(0), [0], [[3.0, 0.0]])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_control_points_on_a_line_leave_the_affine_part_open(count):
    mesh = quads(4)
    with pytest.raises(MorphingError, match=rf"{count} control points that span {min(count, 2) - 1} of 2 dimensions"):
        RadialBasisMorphing().apply(mesh, np.arange(count), mesh.points[:count])


def test_meshes_that_have_no_p1_elements_are_named():
    flat = blob(0)
    hill = flat.with_points(np.concatenate([flat.points, flat.points[:, :1]], axis=1))
    with pytest.raises(MeshError, match=r"triangle cells in 3-D space.*RadialBasisMorphing takes any"):
        HarmonicMorphing().apply(hill, [0], hill.points[:1])
    inverted = flat.with_points(flat.points * [-1.0, 1.0])
    with pytest.raises(MeshError, match=r"inverted or collapsed before morphing: 1\d\d triangle cells"):
        HarmonicMorphing().apply(inverted, [0], inverted.points[:1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ElasticMorphing(poisson=0.5), "poisson = 0.5"),
        (lambda: ElasticMorphing(steps=0), "steps = 0"),
        (lambda: Polyharmonic(4), "order 4"),
        (lambda: WendlandC2(0.0), "radius = 0.0"),
    ],
)
def test_unfit_parameters_are_named(make, message):
    with pytest.raises(MorphingError, match=message):
        make()
