"""Bodies in plane strain: virtual work, patch tests, Newton's method, load paths, symmetry."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from meshes import Mesh, triangulate
from meshes.finite_elements import DirichletCondition, dofs_on, elasticity, lame, traction
from meshes.generate import Loop, arc
from pde_benchmarks.elasticity.load_path import LoadPath
from pde_benchmarks.elasticity.newton import LoadedBody
from pde_benchmarks.elasticity.plane_strain import PlaneStrain
from pde_benchmarks.elasticity.plasticity import ElastoPlastic, PlasticState
from pde_benchmarks.elasticity.repeated_factor import RepeatedFactor
from pde_benchmarks.errors import ProblemError
from solvers import CSROperator, Status, SuperLU, linear_solve

STEEL = ElastoPlastic(young=7e4, poisson=0.3, yield_stress=80.0, hardening=2000.0)
LOAD = 50.0


def half_outline() -> Loop:
    """The right half of a plate with a notch of depth 0.45 in its side."""
    return Loop(
        ("bottom", "side", "notch", "side", "top", "axis"),
        tuple(
            np.array(piece)
            for piece in (
                [[0.0, -1.0], [1.0, -1.0]],
                [[1.0, -1.0], [1.0, -0.3]],
                arc([1.0, 0.1], (0.45, 0.4), -np.pi / 2, -3 * np.pi / 2),
                [[1.0, 0.5], [1.0, 1.0]],
                [[1.0, 1.0], [0.0, 1.0]],
                [[0.0, 1.0], [0.0, -1.0]],
            )
        ),
    )


def mirrored_plate(size: float = 0.12) -> tuple[Mesh, np.ndarray]:
    """A mesh that is its own mirror image, with the number of every node's image."""
    half = triangulate([half_outline()], size)
    count = len(half.points)
    axis = half.node_set("axis")
    rest = np.setdiff1d(np.arange(count), axis)
    image = np.arange(count)
    image[rest] = count + np.arange(len(rest))
    points = np.concatenate([half.points, half.points[rest] * [-1.0, 1.0]])
    points[axis, 0] = 0.0
    cells = half.cells["triangle"]
    sets = {
        name: {"line": np.concatenate([lines := half.facet_set(name)["line"], image[lines][:, ::-1]])}
        for name in ("bottom", "top")
    }
    mesh = Mesh(points, {"triangle": np.concatenate([cells, image[cells][:, ::-1]])}, facet_sets=sets)
    back = np.concatenate([image, rest])
    corner = int(np.linalg.norm(points - [-1, -1], axis=1).argmin())
    return replace(mesh, node_sets={"corner": np.array([corner])}), back


def pulled(mesh: Mesh, material: ElastoPlastic = STEEL, load: float = LOAD) -> LoadedBody:
    """On rollers at the bottom, one corner held, pulled at the top."""
    body = PlaneStrain(mesh)
    space = body.space
    held = np.concatenate([dofs_on(space, "bottom", component=1), dofs_on(space, "corner", component=0)])
    per_length = traction(space, "top")
    pulls = torch.tensor([0.0, load], dtype=torch.float64).repeat(per_length.shape[1] // 2)
    return LoadedBody(body, material, DirichletCondition(space, held), (per_length @ pulls).numpy())


@pytest.fixture(scope="module")
def mirrored():
    return mirrored_plate()


@pytest.fixture(scope="module")
def loaded(mirrored):
    return pulled(mirrored[0])


@pytest.fixture(scope="module")
def found(loaded):
    return LoadPath().follow(loaded)


def test_the_plate_yields_in_part(found):
    """So that the tests below say something."""
    share = (found.response.state.cumulated > 0).mean()
    assert found.status == Status.CONVERGED
    assert found.share == 1.0
    assert 0.02 < share < 0.9


def test_linear_displacements_have_constant_strains(loaded):
    """u = G x: ε = sym G at every quadrature point and vertex, and constants are their own means."""
    body = loaded.body
    gradient = np.array([[1.0, 2.0], [-0.5, 3.0]])
    u = (body.space.nodes @ gradient.T).ravel()
    for strains in (body.strains(u), body.vertex_strains(u)):
        np.testing.assert_allclose(strains, np.broadcast_to([1.0, 3.0, 1.5], strains.shape), atol=1e-11)
    means = body.vertex_means(np.full((body.point_count, 2), 7.0))
    np.testing.assert_allclose(means, 7.0, rtol=1e-14)
    assert means.shape == (len(body.mesh.points), 2)


def test_strains_at_vertices_are_exact_for_quadratic_displacements(loaded):
    """u = (x², x y): ε = (2 x, x, y), up to the boundary."""
    body = loaded.body
    x, y = body.space.nodes.T
    found = body.vertex_strains(np.column_stack([x**2, x * y]).ravel())
    x, y = body.mesh.points.T
    np.testing.assert_allclose(found, np.column_stack([2 * x, x, y]), atol=1e-11)


def test_forces_do_the_work_of_stresses(loaded):
    """f(σ)·v = ∫ σ:ε(v) for any stress and displacement."""
    body, rng = loaded.body, np.random.default_rng(0)
    stress, v = rng.standard_normal((body.point_count, 4)), rng.standard_normal(body.space.size)
    weights = body.space.tabulation.weights.ravel()
    work = (weights[:, None] * stress[:, [0, 1, 3]] * body.strains(v)).sum()
    assert body.forces(stress) @ v == pytest.approx(work, rel=1e-11)


def test_the_elastic_stiffness_is_that_of_the_mesh_floor(loaded):
    """K(D_elastic) = ∫ λ ∇·u ∇·v + 2 μ ε:ε."""
    body = loaded.body
    rest = STEEL.response(np.zeros((body.point_count, 3)), PlasticState.virgin(body.point_count))
    expected = elasticity(body.space)(lame(STEEL.young, STEEL.poisson))
    torch.testing.assert_close(body.stiffness(rest.tangent).values, expected.values, rtol=0, atol=1e-9 * STEEL.young)


def test_without_yielding_it_is_linear_elasticity(mirrored):
    """R₀ = ∞: the displacements of `meshes.finite_elements`, after one linear solve, and no plastic strain."""
    loaded = pulled(mirrored[0], ElastoPlastic(7e4, 0.3))
    found = LoadPath().follow(loaded)
    A, b = loaded.held.eliminate(elasticity(loaded.body.space)(lame(7e4, 0.3)), torch.from_numpy(loaded.load))
    expected = loaded.held.extend(linear_solve(A, b, SuperLU()).value).numpy()
    np.testing.assert_allclose(found.displacement, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert found.iterations == 1
    assert not found.response.state.cumulated.any()
    stiff = LoadPath().follow(pulled(mirrored[0], replace(STEEL, hardening=1e14)))
    np.testing.assert_allclose(stiff.displacement, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def test_the_supports_carry_the_load(loaded, found):
    """Σ reactions = −(0, P · width), at held degrees of freedom only, to Newton's tolerance."""
    reactions = loaded.reactions(found.response.stress)
    np.testing.assert_allclose(reactions.reshape(-1, 2).sum(axis=0), [0, -2 * LOAD], atol=1e-6 * LOAD)
    free = loaded.held.free.numpy()
    assert np.linalg.norm(reactions[free]) <= 1e-8 * np.linalg.norm(loaded.load[free])


def test_the_tangent_of_the_body_is_symmetric_positive_definite(loaded, found):
    A, _ = loaded.held.eliminate(loaded.body.stiffness(found.response.tangent), torch.from_numpy(loaded.load))
    dense = A.to_dense().numpy()
    np.testing.assert_allclose(dense, dense.T, rtol=0, atol=1e-12 * np.abs(dense).max())
    assert np.isfinite(np.linalg.cholesky(dense)).all()  # of other matrices there is none


def test_newton_converges_quadratically(found):
    """Once r < 1e-2: r_next ≤ C r², so that the digits double, to rounding."""
    pairs = [(a, b) for h in found.residuals for a, b in pairwise(h) if 1e-6 < a < 1e-2]
    assert pairs
    assert all(b <= max(1e3 * a**2, 1e-11) for a, b in pairs)
    assert all(history[-1] <= 1e-8 for history in found.residuals)


def test_a_symmetric_part_has_a_symmetric_answer(mirrored, loaded, found):
    """v, p and the stresses are even, u is odd up to a translation, to Newton's tolerance."""
    mesh, image = mirrored
    u, v = found.displacement.reshape(-1, 2)[: len(mesh.points)].T
    response = found.response
    at_points = np.column_stack([response.stress, response.state.cumulated])
    scale = np.array([100.0, 100.0, 100.0, 100.0, 0.01])
    values = loaded.body.vertex_means(at_points) / scale
    np.testing.assert_allclose(values[image], values * [1, 1, 1, -1, 1], atol=1e-7)
    np.testing.assert_allclose(v[image], v, atol=1e-7 * np.abs(v).max())
    np.testing.assert_allclose(u[image] + u, 2 * u[mesh.points[:, 0] == 0][0], atol=1e-7 * np.abs(u).max())


def test_a_load_in_more_increments_gives_nearly_the_same(loaded):
    """The flow rule is integrated by implicit Euler: more increments bring less and less, and all of it is little."""
    ends = [LoadPath(tuple(np.linspace(0, 1, n + 1)[1:])).follow(loaded).displacement for n in (4, 16, 64)]
    few, many = (float(np.linalg.norm(end - ends[-1])) for end in ends[:2])
    assert many < 0.6 * few
    assert few < 1e-2 * np.linalg.norm(ends[-1])


def test_an_increment_that_fails_is_halved(loaded, found):
    """Too few iterations for large increments: smaller ones take over and reach the same load."""
    plain = max(len(history) - 1 for history in found.residuals)
    halving = LoadPath((0.5, 1.0), max_iterations=plain - 1).follow(loaded)
    assert halving.status == Status.CONVERGED
    assert len(halving.residuals) > 3
    assert len(halving.displacements) > 3
    difference = np.linalg.norm(halving.displacement - found.displacement)
    assert difference < 1e-2 * np.linalg.norm(found.displacement)


def test_a_path_that_cannot_be_followed_says_where_it_ended(loaded):
    """One iteration carries the elastic part only."""
    stuck = LoadPath(max_iterations=1, max_halvings=2).follow(loaded)
    assert stuck.status == Status.MAX_ITERATIONS
    assert 0 < stuck.share < 1
    broken = LoadPath(max_halvings=1).follow(replace(loaded, load=loaded.load * np.nan))
    assert broken.status == Status.NONFINITE_ITERATE
    assert broken.share == 0
    assert not broken.displacement.any()


def test_no_load_is_no_displacement(loaded):
    rest = LoadPath().follow(replace(loaded, load=0 * loaded.load))
    assert rest.status == Status.CONVERGED
    assert rest.iterations == 0
    assert not rest.displacement.any()


def test_a_guess_far_away_is_brought_back(loaded, found):
    """The work is convex: from displacements twenty times too large the line search finds the same solution."""
    state = PlasticState.virgin(loaded.body.point_count)
    near = loaded.increment(np.zeros(loaded.body.space.size), state, 1.0)
    far = loaded.increment(20 * found.displacement, state, 1.0, max_iterations=60)
    assert near.status == far.status == Status.CONVERGED
    scale = np.abs(near.balance.displacement).max()
    np.testing.assert_allclose(far.balance.displacement, near.balance.displacement, rtol=0, atol=1e-6 * scale)


def test_bodies_are_made_of_triangles():
    square = Mesh([[0.0, 0], [1, 0], [1, 1], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    with pytest.raises(ProblemError, match="a body of quad: expected triangles"):
        PlaneStrain(square)


@pytest.mark.parametrize("wrong", [{"levels": ()}, {"levels": (0.5, 0.9)}, {"levels": (0.5, 0.5, 1.0)}, {"rtol": 0.0}])
def test_paths_that_lead_nowhere_are_refused(wrong):
    with pytest.raises(ProblemError, match="expected"):
        LoadPath(**wrong)


def test_a_repeated_factor_solves_every_matrix_of_its_pattern(loaded, found):
    """A x = b to rounding for the elastic and the plastic tangent; NaN for what is singular or not finite."""
    body, held = loaded.body, loaded.held
    rest = STEEL.response(np.zeros((body.point_count, 3)), PlasticState.virgin(body.point_count))
    load = torch.from_numpy(loaded.load)
    systems = [held.eliminate(body.stiffness(r.tangent), load) for r in (rest, found.response)]
    factor = RepeatedFactor(systems[0][0].pattern)
    for A, b in systems:
        x = torch.from_numpy(factor.solve(A, b.numpy()))
        assert float((A @ x - b).norm()) < 1e-11 * float(b.norm())
    A, b = systems[0]
    for values in (torch.zeros_like(A.values), A.values * torch.nan):
        assert np.isnan(factor.solve(CSROperator.from_pattern(A.pattern, values), b.numpy())).all()
