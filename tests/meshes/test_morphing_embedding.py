"""Embedding of discs: Tutte's theorem, exactness, the circle, independence of numbering, placement and mesh."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import Mesh, MeshError, MorphingError, cell_volumes
from meshes.morphing import (
    DiscEmbedding,
    arc_parameters,
    circle_angles,
    harmonic_weights,
    mark_corners,
    mean_landmark_angles,
    mean_value_weights,
    tutte_embedding,
    uniform_weights,
)

POSITIVE = [mean_value_weights, uniform_weights]
EXACT = [harmonic_weights, mean_value_weights]
seeds = st.integers(0, 10**6)


def blob(seed: int, inner: int = 60, rim: int = 24) -> Mesh:
    """Delaunay triangles of random points in a disc: slivers, any valence, obtuse angles."""
    from scipy.spatial import Delaunay

    random = np.random.default_rng(seed)
    radius, angle = 0.97 * np.sqrt(random.uniform(0, 1, inner)), random.uniform(0, 2 * np.pi, inner)
    around = 2 * np.pi * (np.arange(rim) + random.uniform(-0.3, 0.3, rim)) / rim
    polar = np.concatenate([np.stack([np.ones(rim), around], 1), np.stack([radius, angle], 1)])
    points = polar[:, :1] * np.stack([np.cos(polar[:, 1]), np.sin(polar[:, 1])], axis=1)
    return Mesh(points, {"triangle": positive(points, Delaunay(points).simplices)})


def positive(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return np.where(area[:, None] > 0, triangles, triangles[:, [0, 2, 1]])[np.abs(area) > 1e-12]


def lifted(mesh: Mesh, height: float = 0.4) -> Mesh:
    """The same mesh on a hill."""
    x, y = mesh.points.T
    return mesh.with_points(np.stack([x, y, height * np.cos(2 * x) * np.sin(1.5 * y + 0.3)], axis=1))


def notched_plate(h: float, seed: int = 0) -> Mesh:
    """[-1, 1]² without two half-discs, triangles of size about h that grow away from the notches, eight corners."""
    from scipy.spatial import Delaunay

    outline = notched_outline(h)
    random = np.random.default_rng(seed)
    rows = np.arange(-1, 1, 0.8 * h)
    x, y = np.meshgrid(rows, rows, indexing="ij")
    seeds_ = np.stack([x + 0.4 * h * (np.arange(y.shape[1]) % 2), y], -1).reshape(-1, 2)
    seeds_ = seeds_ + random.uniform(-0.2, 0.2, seeds_.shape) * h
    depth = np.minimum(clearance(seeds_), (1 - np.abs(seeds_)).min(axis=1))
    away = np.clip(clearance(seeds_) / 0.5, 0, 1)
    kept = (depth > 0.6 * h) & (random.uniform(size=len(seeds_)) < 1 - 0.6 * away)
    points = np.concatenate([outline, seeds_[kept]])
    triangles = positive(points, Delaunay(points).simplices)
    centre = points[triangles].mean(axis=1)
    triangles = triangles[clearance(centre) > 0]
    order = random.permutation(len(points))
    place = np.argsort(order)
    return mark_corners(Mesh(points[order], {"triangle": place[triangles]}))


def notched_outline(h: float) -> np.ndarray:
    arc = np.linspace(np.pi / 2, -np.pi / 2, round(0.4 * np.pi / h) + 1)
    left = np.stack([-1 + 0.4 * np.cos(arc), 0.1 + 0.4 * np.sin(arc)], axis=1)
    right = np.stack([1 - 0.4 * np.cos(arc), -0.1 - 0.4 * np.sin(arc)], axis=1)
    corners = [left[-1], [-1, -1], [1, -1], right[0]], [right[-1], [1, 1], [-1, 1], left[0]]
    straight = [np.concatenate([segment(a, b, h) for a, b in pairwise(c)]) for c in corners]
    return np.concatenate([left[:-1], straight[0], right[:-1], straight[1]])


def segment(a: list[float], b: list[float], h: float) -> np.ndarray:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    count = max(1, round(float(np.linalg.norm(b - a)) / h))
    return a + np.arange(count)[:, None] / count * (b - a)


def clearance(x: np.ndarray) -> np.ndarray:
    """Distance from the notches."""
    return np.minimum(np.hypot(x[:, 0] + 1, x[:, 1] - 0.1), np.hypot(x[:, 0] - 1, x[:, 1] + 0.1)) - 0.4


CORNERS = tuple(f"corner_{i}" for i in range(8))


@settings(max_examples=15, deadline=None)
@given(seed=seeds, weights=st.sampled_from(POSITIVE))
def test_positive_weights_and_a_convex_boundary_invert_no_triangle(seed, weights):
    """Tutte 1963, Floater 2003: the map is a bijection onto the disc, for surfaces in the plane and in space."""
    mesh = lifted(blob(seed))
    flat = DiscEmbedding(weights=(weights,)).apply(mesh)
    areas = cell_volumes(flat.mesh)["triangle"]
    assert flat.folds.count == 0
    assert areas.min() > 0
    rim = flat.mesh.points[flat.boundary]
    x, y = rim.T
    polygon = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    assert areas.sum() == pytest.approx(polygon, rel=1e-12)


@pytest.mark.parametrize("weights", EXACT, ids=lambda w: w.__name__)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_linear_functions_are_reproduced(weights, seed):
    """Σ w_vj (u_j − u_v) = 0 for u = B x + c: on a plane mesh the map with affine boundary values is affine."""
    mesh = blob(seed)
    random = np.random.default_rng(seed)
    image = mesh.points @ random.standard_normal((2, 2)) + random.standard_normal(2)
    points, triangles, places = map(torch.from_numpy, (mesh.points.copy(), mesh.cells["triangle"].copy(), image))
    rim = torch.arange(24)
    u = tutte_embedding(points, triangles, rim, places[rim], weights)
    np.testing.assert_allclose(u, image, atol=1e-9)


def test_the_boundary_lies_on_the_circle():
    """|u| = 1 to 1e-12, at rising angles within one turn."""
    flat = DiscEmbedding(CORNERS).apply(notched_plate(0.1))
    np.testing.assert_allclose(np.linalg.norm(flat.mesh.points[flat.boundary], axis=1), 1, atol=1e-12)
    assert (np.diff(flat.angles) > 0).all()
    assert flat.angles[-1] - flat.angles[0] < 2 * np.pi
    assert (np.linalg.norm(np.delete(flat.mesh.points, flat.boundary, axis=0), axis=1) < 1).all()


def test_arc_length_ends_at_one_with_the_closing_edge():
    """s_m = 1 after the closing edge, and every step is the edge's share of the perimeter."""
    points = torch.tensor([[0.0, 0], [3, 0], [3, 1], [0, 1]], dtype=torch.float64)
    s = arc_parameters(points, torch.arange(4))
    torch.testing.assert_close(s, torch.tensor([0, 3, 4, 7, 8], dtype=torch.float64) / 8)
    theta = circle_angles(points, torch.arange(4), [0], [0.0])
    torch.testing.assert_close(theta, 2 * torch.pi * s[:-1])


def test_landmarks_stand_at_their_angles_and_arc_length_runs_between_them():
    mesh = notched_plate(0.12)
    angles = tuple(np.linspace(0.3, 5.9, 8))
    flat = DiscEmbedding(CORNERS, angles).apply(mesh)
    nodes = [int(mesh.node_set(name)[0]) for name in CORNERS]
    expected = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(flat.mesh.points[nodes], expected, atol=1e-14)
    first, second = (int(np.flatnonzero(flat.boundary == node)[0]) for node in nodes[:2])
    steps = np.linalg.norm(np.diff(mesh.points[flat.boundary[first : second + 1]], axis=0), axis=1)
    np.testing.assert_allclose(np.diff(flat.angles[first : second + 1]), steps / steps.sum() * 0.8, rtol=1e-12)


def test_the_mean_angles_of_a_family_lie_between_those_of_its_members():
    mesh = notched_plate(0.12)
    wide = mesh.with_points(mesh.points * [2.0, 1.0])
    one, other, mean = (mean_landmark_angles(m, CORNERS) for m in ([mesh], [wide], [mesh, wide]))
    np.testing.assert_allclose(mean, (np.array(one) + other) / 2, rtol=1e-14)
    np.testing.assert_allclose(DiscEmbedding(CORNERS).apply(mesh).angles[0], one[0])
    assert DiscEmbedding(CORNERS, mean).apply(wide).folds.count == 0


@settings(max_examples=8, deadline=None)
@given(seed=seeds, weights=st.sampled_from([harmonic_weights, mean_value_weights]))
def test_the_map_depends_neither_on_placement_nor_on_numbering(seed, weights):
    """Rotation, translation, scale, a new numbering of nodes and cells, and turned cells leave every image alone."""
    random = np.random.default_rng(seed)
    mesh = replace(lifted(blob(seed)), node_sets={"first": [0], "second": [9]})
    embedding = DiscEmbedding(("first", "second"), (0.0, 2.0), (weights,))
    plain = embedding.apply(mesh).mesh.points

    Q, R = np.linalg.qr(random.standard_normal((3, 3)))
    Q = Q * np.sign(np.diag(R))
    order = random.permutation(len(mesh.points))
    place = np.argsort(order)
    cells = random.permutation(place[mesh.cells["triangle"]])
    some = random.uniform(size=len(cells)) < 0.3
    cells[some] = cells[some][:, [1, 0, 2]]
    moved = Mesh(
        (3.0 * mesh.points @ Q.T + 5.0)[order],
        {"triangle": cells},
        node_sets={name: place[nodes] for name, nodes in mesh.node_sets.items()},
    )
    np.testing.assert_allclose(embedding.apply(moved).mesh.points[place], plain, atol=1e-9)


def test_two_meshes_of_one_shape_get_the_same_map():
    """rms of x₁(u) − x₂(u) over the disc: harmonic weights at most a fifth of uniform ones."""
    one, other = notched_plate(0.07, 1), notched_plate(0.045, 2)
    assert mesh_noise(one, other, harmonic_weights) < 0.2 * mesh_noise(one, other, uniform_weights)


def mesh_noise(one, other, weights):
    from matplotlib.tri import LinearTriInterpolator, Triangulation

    angles = mean_landmark_angles([one], CORNERS)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 60)] * 2), -1).reshape(-1, 2)
    grid = grid[np.linalg.norm(grid, axis=1) < 0.97]
    coordinates = []
    for mesh in (one, other):
        flat = DiscEmbedding(CORNERS, angles, (weights,)).apply(mesh).mesh
        disc = Triangulation(*flat.points.T, flat.cells["triangle"])
        coordinates.append(np.stack([LinearTriInterpolator(disc, x)(*grid.T).filled(np.nan) for x in mesh.points.T], 1))
    return np.sqrt(np.nanmean(((coordinates[0] - coordinates[1]) ** 2).sum(axis=1)))


def test_folded_harmonic_maps_fall_back_to_mean_values():
    """Negative cotangents fold this mesh; the report says so and positive weights take over."""
    mesh = folding_surface()
    alone = DiscEmbedding(weights=(harmonic_weights,)).apply(mesh, throw=False)
    assert alone.folds.count > 0
    flat = DiscEmbedding().apply(mesh)
    assert flat.weights == "mean_value_weights"
    assert flat.rejected == {"harmonic_weights": f"{alone.folds.count} triangles inverted"}
    assert flat.folds.count == 0
    assert "harmonic_weights rejected" in repr(flat)
    with pytest.raises(MorphingError, match=r"by harmonic_weights: \d+ folded cells? \(triangle .*uniform_weights"):
        DiscEmbedding(weights=(harmonic_weights,)).apply(mesh)


def folding_surface() -> Mesh:
    """A steep hill over a Delaunay triangulation: on it, opposite angles exceed 180°."""
    return lifted(blob(0), height=10.0)


def test_collapsed_triangles_fall_back_to_uniform_weights():
    """Without an area the cotangent is infinite; Tutte's weights do not look at the shape."""
    points = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.0], [0.5, 0.5]])
    cells = [[0, 1, 4], [0, 4, 5], [4, 1, 5], [1, 2, 5], [2, 3, 5], [3, 0, 5]]
    flat = DiscEmbedding().apply(Mesh(points, {"triangle": cells}))
    assert flat.weights == "uniform_weights"
    assert set(flat.rejected) == {"harmonic_weights", "mean_value_weights"}


@pytest.mark.parametrize("weights", [*EXACT, uniform_weights], ids=lambda w: w.__name__)
def test_the_embedding_is_differentiable_in_the_points_of_a_batch(weights):
    """du/dx by the adjoint solve equals differences, for two surfaces at once."""
    mesh = lifted(blob(5, inner=6, rim=8))
    triangles, rim = torch.from_numpy(mesh.cells["triangle"].copy()), torch.arange(8)
    batch = torch.stack([torch.from_numpy(mesh.points * s) for s in ([1.0, 1, 1], [1.0, 1, 2])]).requires_grad_()

    def flat(points):
        theta = circle_angles(points, rim, [0], [0.0])
        return tutte_embedding(points, triangles, rim, torch.stack([theta.cos(), theta.sin()], -1), weights)

    single = torch.stack([flat(points) for points in batch])
    torch.testing.assert_close(flat(batch), single)
    assert torch.autograd.gradcheck(flat, (batch,), fast_mode=True)


def test_fields_and_sets_go_along():
    mesh = replace(blob(1), point_data={"u": np.arange(84.0)}, node_sets={"rim": np.arange(24)})
    flat = DiscEmbedding().apply(mesh).mesh
    np.testing.assert_array_equal(flat.point_data["u"], mesh.point_data["u"])
    np.testing.assert_array_equal(flat.node_sets["rim"], np.arange(24))


def test_a_fold_in_the_plane_mesh_itself_is_smoothed_out():
    """The map looks at lengths and connections only: an inner node beyond its neighbours comes back."""
    mesh = blob(7)
    points = mesh.points.copy()
    points[-1] = [0.9, 0.0]
    assert (cell_volumes(mesh.with_points(points))["triangle"] < 0).any()
    assert DiscEmbedding(weights=(mean_value_weights,)).apply(mesh.with_points(points)).folds.count == 0


def marked(**sets):
    return replace(blob(1), node_sets={"a": [0], "b": [1], "c": [2], "inside": [40], "many": [0, 1], **sets})


@pytest.mark.parametrize(
    ("embedding", "error", "message"),
    [
        (DiscEmbedding(("d",)), MeshError, "node set 'd'"),
        (DiscEmbedding(("inside",)), MorphingError, r"'inside', node 40, is not on the boundary.*24 nodes, such as"),
        (DiscEmbedding(("many",)), MorphingError, "'many' has 2 nodes"),
        (DiscEmbedding(("a", "a")), MorphingError, "each at its own node"),
        (DiscEmbedding(("a", "b"), (0.0,)), MorphingError, "1 angles for 2 landmarks"),
        (DiscEmbedding(("a", "b"), (0.0, -1.0)), MorphingError, "expected them to rise"),
        (DiscEmbedding(("a", "b"), (0.0, 7.0)), MorphingError, "by less than 2π"),
        (DiscEmbedding(angles=(0.0,)), MorphingError, "1 angles without landmarks"),
    ],
)
def test_unfit_landmarks_are_named(embedding, error, message):
    with pytest.raises(error, match=message):
        embedding.apply(marked())


def test_landmarks_in_the_wrong_direction_are_put_in_order_by_the_message():
    with pytest.raises(MorphingError, match="meets them in the order a, b, c"):
        DiscEmbedding(("a", "c", "b")).apply(marked())


def test_a_round_boundary_has_no_corners():
    with pytest.raises(MorphingError, match=r"turns by at most .* expected a corner of more than 90°"):
        mark_corners(blob(0), 90.0)
