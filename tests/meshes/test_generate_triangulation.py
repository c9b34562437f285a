"""Unstructured triangles: area, topology, quality, sizes, names and determinism of plates and aerofoils."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import MeshError, boundary_facets, cell_volumes, check_mesh, facet_normals, facets, scaled_jacobians
from meshes.generate import (
    EllipticNotch,
    GradedSize,
    Loop,
    WedgeNotch,
    aerofoil_exterior,
    circle,
    ellipse,
    naca4,
    plate,
    plate_outline,
    polygon,
    rectangle,
    triangulate,
)
from meshes.generate.seeding import inside

# sin of the smallest angle over sin 60°: every angle at least 20°.
QUALITY = np.sin(np.radians(20)) / np.sin(np.radians(60))


def area(mesh):
    return cell_volumes(mesh)["triangle"].sum()


def polygon_area(points):
    return 0.5 * abs(np.sum(points[:, 0] * np.roll(points[:, 1], -1) - np.roll(points[:, 0], -1) * points[:, 1]))


def boundary_area(mesh):
    """∮ x·n / 2 over all facet sets: the area of the polygons, if every facet is outward."""
    total = 0.0
    for parts in mesh.facet_sets.values():
        ends = mesh.points[parts["line"]]
        edge = ends[:, 1] - ends[:, 0]
        total += 0.5 * np.sum(ends.mean(axis=1) * np.column_stack([edge[:, 1], -edge[:, 0]]))
    return total


def assert_sound(mesh, holes):
    """No defects; V − E + F = 1 − holes; the facet sets are the boundary; its polygons have the area of the cells."""
    assert check_mesh(mesh).is_sound
    assert len(mesh.points) - len(facets(mesh)["line"].count) + mesh.cell_count == 1 - holes
    assert sum(len(p["line"]) for p in mesh.facet_sets.values()) == len(boundary_facets(mesh)["line"])
    assert boundary_area(mesh) == pytest.approx(area(mesh), rel=1e-12)


@pytest.mark.parametrize("size", [0.3, 0.1, 0.05])
def test_a_square_is_filled_exactly_with_good_triangles(size):
    """Σ A = 1; min angle ≥ 20°; mean edge within 10 % of the wanted one; about 2/(√3 h²) nodes."""
    mesh = triangulate([polygon([[0, 0], [1, 0], [1, 1], [0, 1]], ["bottom", "right", "top", "left"])], size)
    assert_sound(mesh, 0)
    assert area(mesh) == pytest.approx(1, rel=1e-13)
    assert scaled_jacobians(mesh)["triangle"].min() > QUALITY
    edges = mesh.points[facets(mesh)["line"].vertices]
    assert np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1).mean() == pytest.approx(size, rel=0.1)
    assert (mesh.points[mesh.node_set("left")][:, 0] == 0).all()


def test_the_disc_has_the_area_of_its_polygon_and_converges_to_pi():
    """n chords: A = (n/2) sin(2π/n), π − A = O(n⁻²)."""
    for size in (0.2, 0.05):
        mesh = triangulate([circle([3.0, -2.0], 1.0, "rim")], size)
        assert_sound(mesh, 0)
        n = len(mesh.facet_set("rim")["line"])
        assert area(mesh) == pytest.approx(0.5 * n * np.sin(2 * np.pi / n), rel=2e-6)  # curves have 3200 chords
        assert scaled_jacobians(mesh)["triangle"].min() > QUALITY


@settings(deadline=None, max_examples=6)
@given(
    x=st.floats(-0.4, 0.4), r=st.floats(0.1, 0.4), depth=st.floats(0.1, 0.35), at=st.floats(-0.4, 0.4),
    size=st.floats(0.1, 0.2), seed=st.integers(0, 99),
)  # fmt: skip
def test_plates_of_any_proportion_are_sound(x, r, depth, at, size, seed):
    """One hole, two notches, graded sizes: topology, orientation, names, quality."""
    notches = [EllipticNotch("left", at, depth, 0.2), WedgeNotch("top", -at, 0.3, 0.15)]
    hole = circle([x, -0.4], r, "hole")
    graded = GradedSize(hole.points, size / 2, size, 0.2)
    mesh = plate(2.4, 2.0, graded, [hole], notches, seed)
    assert_sound(mesh, 1)
    assert scaled_jacobians(mesh)["triangle"].min() > 0.8 * QUALITY  # 16°: walls may be thinner than the size
    assert set(mesh.facet_sets) == {"bottom", "right", "top", "left", "notch", "hole"}
    np.testing.assert_allclose(np.hypot(*(mesh.points[mesh.node_set("hole")] - [x, -0.4]).T), r, rtol=1e-6)
    tip = np.abs(mesh.points[mesh.node_set("notch")] - [-at, 0.7]).sum(axis=1).min()
    assert tip < 1e-12


def test_a_plate_with_all_kinds_of_holes():
    """A = w h − Σ holes − notches, up to chords; h + 1 boundary loops."""
    holes = [
        circle([0, 0], 0.2, "hole"),
        ellipse([0.5, 0.1], (0.2, 0.1), "slot", 0.4),
        rectangle([-0.6, 0], (0.2, 0.3), "window"),
    ]
    mesh = plate(2.0, 1.0, 0.04, holes, [WedgeNotch("bottom", 0.3, 0.1, 0.1)])
    assert_sound(mesh, 3)
    exact = 2 - np.pi * (0.04 + 0.02) - 0.06 - 0.01
    assert area(mesh) == pytest.approx(exact, rel=2e-3)
    assert area(mesh) > exact  # chords lie inside the holes
    normals = facet_normals(mesh, mesh.facet_set("window"))["line"]
    middle = mesh.points[mesh.facet_set("window")["line"]].mean(axis=1) - [-0.6, 0.0]
    assert (np.einsum("md,md->m", normals, middle) < 0).all()


def test_the_size_function_is_followed():
    """Edges over wanted length: median near 1, all between 0.4 and 2."""
    hole = circle([0, 0], 0.1, "hole")
    h = GradedSize(hole.points, 0.01, 0.2, 0.2)
    mesh = plate(2.0, 2.0, h, [hole])
    edges = mesh.points[facets(mesh)["line"].vertices]
    ratio = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1) / h(edges.mean(axis=1))
    assert np.median(ratio) == pytest.approx(1, abs=0.15)
    assert ratio.min() > 0.4
    assert ratio.max() < 2
    assert scaled_jacobians(mesh)["triangle"].min() > QUALITY


def test_the_same_seed_gives_the_same_mesh():
    hole = circle([0, 0], 0.3, "hole")
    meshes = [plate(2.0, 2.0, GradedSize(hole.points, 0.05, 0.3), [hole], seed=seed) for seed in (0, 0, 1)]
    assert meshes[0] == meshes[1]
    assert meshes[0] != meshes[2]


def test_thin_walls_refine_the_boundary_until_it_is_kept():
    """Two holes 0.02 apart at size 0.15: the boundary edges between them are halved, the topology is right."""
    holes = [circle([-0.51, 0], 0.5, "one"), circle([0.51, 0], 0.5, "two")]
    mesh = plate(2.4, 2.0, 0.15, holes)
    assert_sound(mesh, 2)


@pytest.mark.parametrize("digits", [(0.0, 0.4, 0.12), (0.02, 0.4, 0.12), (0.06, 0.3, 0.08)])
def test_the_plane_around_an_aerofoil(digits):
    """Area = π R² − area of the body, up to the chords; hole of genus one; good triangles up to the sharp edge."""
    contour = naca4(*digits)
    mesh = aerofoil_exterior(contour, radius=5.0)
    assert_sound(mesh, 1)
    assert scaled_jacobians(mesh)["triangle"].min() > QUALITY
    n = sum(len(mesh.facet_set(name)["line"]) for name in ("inlet", "outlet"))
    ring = 25 * 0.5 * n * np.sin(2 * np.pi / n)
    assert area(mesh) == pytest.approx(ring - polygon_area(contour[:-1]), abs=2e-3)
    assert mesh.points[mesh.node_set("inlet")][:, 0].max() <= 0.5 + 1e-9
    nose = np.linalg.norm(contour - [1.0, 0.0], axis=1).argmax()
    for edge in contour[[0, nose]]:  # trailing and leading edge are nodes
        assert np.linalg.norm(mesh.points[mesh.node_set("wall")] - edge, axis=1).min() < 1e-12


def test_naca_thickness_and_camber():
    """NACA 0012: largest thickness 0.12 at 0.3; NACA 2412: camber line through (0.4, 0.02); edge closed."""
    symmetric = naca4(0.0, 0.4, 0.12, 2001)
    top = symmetric[symmetric[:, 1].argmax()]
    assert top[0] == pytest.approx(0.3, abs=1e-3)
    assert top[1] == pytest.approx(0.06, rel=1e-3)
    np.testing.assert_array_equal(symmetric[:, 0], symmetric[::-1, 0])
    np.testing.assert_array_equal(symmetric[:, 1], -symmetric[::-1, 1])
    cambered = naca4(0.02, 0.4, 0.12, 2001)
    middle = 0.5 * (cambered[:2001][::-1] + cambered[2000:])
    np.testing.assert_allclose(middle[middle[:, 1].argmax()], [0.4, 0.02], atol=1e-3)
    np.testing.assert_array_equal(cambered[[0, -1]], [[1, 0], [1, 0]])
    with pytest.raises(MeshError, match="fractions of the chord"):
        naca4(2, 4, 12)


def test_points_inside_a_region_with_a_hole():
    """Even-odd rule: inside the square, outside the hole."""
    loops = [polygon([[0, 0], [3, 0], [3, 3], [0, 3]], "a"), rectangle([1.5, 1.5], (1.0, 1.0), "b")]
    ends = np.concatenate([np.stack([p.points, np.roll(p.points, -1, axis=0)], axis=1) for p in loops])
    assert inside(np.array([[0.5, 0.5], [1.5, 1.5], [4.0, 1.0], [2.5, 1.5]]), ends).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_bad_regions_are_refused_with_the_reason():
    square = polygon([[0, 0], [1, 0], [1, 1], [0, 1]], "side")
    with pytest.raises(MeshError, match="cross or touch"):
        triangulate([square, circle([1.0, 0.5], 0.3, "hole")], 0.1)
    with pytest.raises(MeshError, match="hole 'hole' reaches out"):
        plate(1.0, 1.0, 0.1, [circle([0.5, 0.0], 0.3, "hole")])
    with pytest.raises(MeshError, match="size -1"):
        triangulate([square], -1)
    with pytest.raises(MeshError, match="positive, finite lengths"):
        triangulate([square], lambda x: np.where(x[:, 0] > 0.3, np.nan, 0.1))
    with pytest.raises(MeshError, match="more than 5000000 nodes"):
        triangulate([square], 1e-4)
    with pytest.raises(MeshError, match=r"piece 'b' starts at \(2, 0\), 1 away from the end of 'a'"):
        Loop.of({"a": [[0, 0], [1, 0]], "b": [[2, 0], [0, 1], [0, 0]]})
    with pytest.raises(MeshError, match="overlaps another one or leaves the side"):
        plate_outline(1.0, 1.0, [WedgeNotch("left", 0.45, 0.1, 0.1)])
    with pytest.raises(MeshError, match="depth between 0 and 1"):
        plate_outline(1.0, 1.0, [WedgeNotch("left", 0.0, 1.5, 0.1)])
    with pytest.raises(MeshError, match=r"sides \['middle'\]"):
        plate_outline(1.0, 1.0, [EllipticNotch("middle", 0.0, 0.1, 0.1)])
    with pytest.raises(MeshError, match="growth ≥ 0"):
        GradedSize([[0, 0]], 1.0, 0.5)
    with pytest.raises(MeshError, match=r"radius 0\.3"):
        aerofoil_exterior(naca4(0.0, 0.4, 0.12), radius=0.3)
    with pytest.raises(MeshError, match="semi-axes"):
        ellipse([0, 0], (1.0, 0.0), "flat")
