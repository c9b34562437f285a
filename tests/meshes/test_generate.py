"""Structured grids, cuts into simplices, extruded and mapped solids: volumes, sides, topology."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import (
    Mesh,
    MeshError,
    boundary,
    boundary_facets,
    cell_volumes,
    check_mesh,
    facet_normals,
    facets,
    scaled_jacobians,
)
from meshes.generate import (
    blade,
    bracket,
    circle,
    extrude,
    fill_with_tetrahedra,
    plate,
    structured_grid,
    to_simplices,
    with_boundary_sets,
)
from meshes.geometry import area_vectors
from solvers.errors import MissingPackageError

OUTWARD = {"left": (0, -1), "right": (0, 1), "bottom": (1, -1), "top": (1, 1), "back": (2, -1), "front": (2, 1)}


def volume(mesh):
    return sum(v.sum() for v in cell_volumes(mesh).values())


def euler(mesh):
    """V − E + F of the boundary surface of a solid in triangles: 2 − 2 g for a closed surface of genus g."""
    shell, _ = boundary(mesh)
    return len(shell.points) - len(facets(shell)["line"].count) + shell.cell_count


def rows(nodes):
    return {tuple(sorted(row)) for row in nodes.tolist()}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_structured_grid_fills_the_box_and_names_its_sides(dim):
    """Volumes are products of steps; facets are outward, and together the boundary."""
    axes = [np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 0.5, 1.0]), np.array([2.0, 2.25])][:dim]
    mesh = structured_grid(*axes)
    (volumes,) = cell_volumes(mesh).values()
    steps = np.diff(axes[0])
    for axis in axes[1:]:
        steps = np.outer(np.diff(axis), steps).ravel()
    np.testing.assert_allclose(volumes, steps, rtol=1e-13)
    assert check_mesh(mesh).is_sound
    (outer,) = boundary_facets(mesh).values()
    assert sum(len(v) for parts in mesh.facet_sets.values() for v in parts.values()) == len(outer)
    for name, parts in mesh.facet_sets.items():
        axis, sign = OUTWARD[name]
        where = mesh.points[mesh.node_set(name)][:, axis]
        assert (where == axes[axis][0 if sign < 0 else -1]).all()
        for kind, nodes in parts.items():
            assert rows(nodes) <= rows(outer)
            if dim > 1:
                np.testing.assert_array_equal(
                    facet_normals(mesh, {kind: nodes})[kind], [sign * np.eye(dim)[axis]] * len(nodes)
                )


@settings(deadline=None, max_examples=20)
@given(shape=st.tuples(*[st.integers(1, 4)] * 3), dim=st.integers(2, 3))
def test_cutting_into_simplices_keeps_volume_boundary_sets_and_data(shape, dim):
    """Σ volumes, positive orientation, conforming faces, fields and sets repeated for the parts."""
    grid = structured_grid(*[np.linspace(0, 1, n + 1) for n in shape[:dim]])
    (kind,) = grid.blocks()
    k = grid.cell_count
    grid = Mesh(
        grid.points, grid.cells, {"u": grid.points}, {"c": {kind: np.arange(k)}}, {"s": 1.0},
        grid.node_sets, {"last": {kind: [k - 1]}}, grid.facet_sets,
    )  # fmt: skip
    mesh = to_simplices(grid)
    ((target, cells),) = mesh.blocks().items()
    parts = 2 if dim == 2 else 6
    assert len(cells) == parts * k
    assert (cell_volumes(mesh)[target] > 0).all()
    assert volume(mesh) == pytest.approx(1, rel=1e-12)
    assert check_mesh(mesh).is_sound
    assert mesh.cell_data["c"][target].tolist() == np.repeat(np.arange(k), parts).tolist()
    centroid = mesh.points[cells[mesh.cell_sets["last"][target]]].mean(axis=(0, 1))
    np.testing.assert_allclose(centroid, grid.points[grid.block(kind)[-1]].mean(axis=0), atol=0.51 / min(shape))
    for name, sets in mesh.facet_sets.items():
        (facet, nodes), = sets.items()  # fmt: skip
        assert rows(nodes) <= rows(boundary_facets(mesh)[facet])
        axis, sign = OUTWARD[name]
        np.testing.assert_allclose(area_vectors(mesh.points[nodes]).sum(axis=0), sign * np.eye(dim)[axis], atol=1e-12)


def test_cuts_of_wedges_fit_whatever_the_numbering():
    """Neighbours agree on the diagonals of shared faces: the boundary has two triangles for each quadrilateral."""
    flat = plate(2.0, 1.0, 0.3)
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(len(flat.points))
        points = np.empty_like(flat.points)
        points[shuffled] = flat.points
        solid = extrude(Mesh(points, {"triangle": shuffled[flat.block("triangle")]}), [0.0, 0.2, 0.5])
        order = np.random.default_rng(seed).permutation(len(solid.points))
        moved = np.empty_like(solid.points)
        moved[order] = solid.points
        mesh = to_simplices(Mesh(moved, {"wedge": order[solid.block("wedge")]}))
        assert (cell_volumes(mesh)["tetra"] > 0).all()
        assert volume(mesh) == pytest.approx(1.0, rel=1e-12)
        outer = boundary_facets(solid)
        assert len(boundary_facets(mesh)["triangle"]) == 2 * len(outer["quad"]) + len(outer["triangle"])


def test_hexahedra_numbered_in_different_directions_are_refused():
    grid = structured_grid([0, 1, 2], [0, 1], [0, 1])
    cells = grid.block("hexahedron").copy()
    cells[1] = cells[1][[3, 0, 1, 2, 7, 4, 5, 6]]
    with pytest.raises(MeshError, match=r"numbered in different directions: their cuts leave 24 .* instead of 20"):
        to_simplices(Mesh(grid.points, {"hexahedron": cells}))
    with pytest.raises(MeshError, match="'pyramid' cells are not cut"):
        to_simplices(Mesh(np.eye(5, 3), {"pyramid": [range(5)]}))


def test_extrusion_multiplies_area_by_height():
    """V = A h; side, back and front facets are outward and together the boundary."""
    flat = plate(2.0, 1.0, 0.25, [circle([0.0, 0.0], 0.2, "hole")])
    area = volume(flat)
    solid = extrude(Mesh(flat.points, flat.cells, {"x": flat.points}, {"c": {"triangle": np.arange(flat.cell_count)}},
                         {}, flat.node_sets, {}, flat.facet_sets), [0.0, 0.1, 0.4, 0.5])  # fmt: skip
    assert volume(solid) == pytest.approx(0.5 * area, rel=1e-12)
    assert check_mesh(solid).is_sound
    np.testing.assert_array_equal(solid.point_data["x"], solid.points[:, :2])
    assert len(solid.cell_data["c"]["wedge"]) == 3 * flat.cell_count
    np.testing.assert_array_equal(np.hypot(*solid.points[solid.node_set("hole")].T[:2]).round(5), 0.2)
    listed = sum(len(v) for parts in solid.facet_sets.values() for v in parts.values())
    assert listed == sum(map(len, boundary_facets(solid).values()))
    flux = 0.0  # ∮ x·n = 3 V, with outward facets only
    tetrahedra = to_simplices(solid)
    for parts in tetrahedra.facet_sets.values():
        corners = tetrahedra.points[parts["triangle"]]
        flux += np.einsum("md,md->", corners.mean(axis=1), area_vectors(corners))
    assert flux == pytest.approx(3 * volume(solid), rel=1e-12)
    with pytest.raises(MeshError, match=r"'hole', 'front'.*a name is taken"):
        extrude(flat, [0, 1], ("hole", "front"))
    with pytest.raises(MeshError, match="two rising heights"):
        extrude(flat, [1.0, 0.0])
    with pytest.raises(MeshError, match="takes triangles and quads in the plane"):
        extrude(solid, [0.0, 1.0])


def test_the_bracket_has_its_volume_and_one_handle():
    """V = w (a t + b t − t² + r² − k/2 r² sin(π/2k) − n/2 ρ² sin(2π/n)) with k and n chords; genus 1."""
    a, b, t, w, r, rho = 60.0, 50.0, 12.0, 20.0, 8.0, 3.0
    for size in (4.0, 2.0):
        mesh = bracket((a, b), t, w, r, rho, size)
        assert check_mesh(mesh).is_sound
        assert (cell_volumes(mesh)["tetra"] > 0).all()
        assert euler(mesh) == 0
        assert scaled_jacobians(mesh)["tetra"].min() > 0.1  # layers are up to 2.5 edges high
        flat = mesh.points[:, 2] == 0
        n = int((flat[mesh.node_set("hole")]).sum())
        on_fillet = np.isclose(np.hypot(mesh.points[:, 0] - t - r, mesh.points[:, 1] - t - r), r, rtol=1e-5)
        k = int((flat & on_fillet)[mesh.node_set("inside")].sum()) - 1
        assert n >= 12
        curved = r**2 - 0.5 * k * r**2 * np.sin(0.5 * np.pi / k) - 0.5 * n * rho**2 * np.sin(2 * np.pi / n)
        assert volume(mesh) == pytest.approx(w * (a * t + b * t - t**2 + curved), rel=1e-6)  # curves have 3200 chords
    radius = np.hypot(mesh.points[:, 0] - (a - t), mesh.points[:, 1] - t / 2)
    np.testing.assert_allclose(radius[mesh.node_set("hole")], rho, rtol=1e-6)
    assert (mesh.points[mesh.node_set("end")][:, 0] == a).all()
    with pytest.raises(MeshError, match="hole's radius below half the thickness"):
        bracket(hole=7.0)


def test_the_blade_is_the_image_of_the_box():
    """No twist, taper or bend: V = L c t (1 − X/2)(1 − 0.9 (2Y)²) integrated = L c t · 3/4 · 0.7, with order two."""
    errors = []
    for n in (2, 4, 8):
        mesh = blade(10.0, 4.0, 1.0, twist=0.0, taper=0.0, bend=(0.0, 0.0), divisions=(n, 2 * n, 1))
        errors.append(abs(volume(mesh) / (10.0 * 4.0 * 0.75 * 0.7) - 1))
    assert errors[1] < errors[0] / 3.5
    assert errors[2] < errors[1] / 3.5
    turned = blade()
    assert (cell_volumes(turned)["hexahedron"] > 0).all()
    assert scaled_jacobians(turned)["hexahedron"].min() > 0.9
    assert check_mesh(turned).is_sound
    assert euler(to_simplices(turned)) == 2
    assert (turned.points[turned.node_set("root")][:, 0] == 0).all()
    assert set(turned.facet_sets) == {"root", "tip", "leading", "trailing", "pressure", "suction"}
    with pytest.raises(MeshError, match="taper below 1"):
        blade(taper=1.0)


def test_bad_axes_are_refused():
    with pytest.raises(MeshError, match=r"axis y of shape .*rising"):
        structured_grid([0, 1], [1, 0])
    with pytest.raises(MeshError, match="z without y"):
        structured_grid([0, 1], None, [0, 1])


def test_sets_of_a_boundary_carry_their_nodes():
    mesh = with_boundary_sets(structured_grid([0, 1], [0, 1]), {"corner": {"line": np.array([[0, 1], [1, 3]])}})
    assert mesh.node_set("corner").tolist() == [0, 1, 3]
    assert mesh.node_set("left").tolist() == [0, 2]


def test_without_netgen_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "netgen", None)
    with pytest.raises(MissingPackageError, match=r"sciml-pde\[mesh-generation\]"):
        fill_with_tetrahedra(boundary(bracket(size=8.0))[0], 8.0)


def test_netgen_fills_a_closed_surface():
    """The volume and the surface stay; an open surface is refused."""
    pytest.importorskip("netgen")
    part = bracket(size=6.0)
    surface, _ = boundary(part)
    mesh = fill_with_tetrahedra(surface, 6.0)
    assert volume(mesh) == pytest.approx(volume(part), rel=1e-12)
    assert rows(boundary_facets(mesh)["triangle"]) == rows(surface.block("triangle"))
    assert (cell_volumes(mesh)["tetra"] > 0).all()
    assert set(mesh.facet_sets) == {*part.facet_sets, "surface"}
    with pytest.raises(MeshError, match="the surface is open: 3 edges"):
        fill_with_tetrahedra(Mesh(surface.points, {"triangle": surface.block("triangle")[1:]}), 6.0)
    with pytest.raises(MeshError, match="needs triangles in space"):
        fill_with_tetrahedra(part, 6.0)
