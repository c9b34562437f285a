"""Volumes by the divergence theorem, facets, boundaries and parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_mesh import VERTICES

from meshes import CELL_TYPES, Mesh, MeshError
from meshes.geometry import cell_volumes, facet_normals, signed_volumes
from meshes.topology import boundary, boundary_facets, facets, restrict, subset

UNIT = {"line": 1, "triangle": 1 / 2, "quad": 1, "tetra": 1 / 6, "hexahedron": 1, "wedge": 1 / 2, "pyramid": 1 / 3}
SOLIDS = [name for name in UNIT if CELL_TYPES[name].dimension > 1]


def cubes(nx: int, ny: int, nz: int) -> Mesh:
    """A box of unit hexahedra."""
    shape = (nx + 1, ny + 1, nz + 1)
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3).astype(float)
    number = np.arange(len(points)).reshape(shape)
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    cells = np.stack([number[i : i + nx, j : j + ny, k : k + nz].ravel() for i, j, k in corners], 1)
    return Mesh(points, {"hexahedron": cells}, {"x": points[:, 0]})


@pytest.mark.parametrize("name", UNIT)
def test_unit_cells_have_their_volume(name):
    points = np.array(VERTICES[name], dtype=float)
    assert signed_volumes(points, name, np.arange(len(points))[None])[0] == pytest.approx(UNIT[name], rel=1e-14)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(SOLIDS), seed=st.integers(0, 10**6), far=st.sampled_from([0.0, 1e6]))
def test_volume_scales_with_the_determinant(name, seed, far):
    """V(B x + c) = det(B) V(x), also far from the origin."""
    points = np.array(VERTICES[name], dtype=float)
    B = np.random.default_rng(seed).standard_normal((points.shape[1],) * 2)
    nodes = np.arange(len(points))[None]
    moved = signed_volumes(points @ B.T + far, name, nodes)[0]
    assert moved == pytest.approx(np.linalg.det(B) * UNIT[name], rel=1e-8, abs=1e-8 if far else 1e-13)


def test_a_twisted_hexahedron_has_the_volume_of_the_trilinear_map():
    """∫ det J over the reference cube by 3-point Gauss, exact for the trilinear map."""
    points = np.array(VERTICES["hexahedron"]) + 0.2 * np.random.default_rng(0).standard_normal((8, 3))
    gauss, weights = np.polynomial.legendre.leggauss(3)
    gauss, weights = (gauss + 1) / 2, weights / 2
    reference, total = np.array(VERTICES["hexahedron"]), 0.0
    for x, wx in zip(gauss, weights, strict=True):
        for y, wy in zip(gauss, weights, strict=True):
            for z, wz in zip(gauss, weights, strict=True):
                p = np.array([x, y, z])
                factors = np.where(reference == 1, p, 1 - p)
                signs = 2 * reference - 1
                slopes = np.stack([signs[:, a] * np.delete(factors, a, 1).prod(1) for a in range(3)], 1)
                total += wx * wy * wz * np.linalg.det(points.T @ slopes)
    assert signed_volumes(points, "hexahedron", np.arange(8)[None])[0] == pytest.approx(total, rel=1e-13)


def test_surfaces_and_curves_have_positive_measures():
    tilted = Mesh([[0, 0, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]], {"quad": [[0, 3, 2, 1]]})
    assert cell_volumes(tilted)["quad"][0] == pytest.approx(np.sqrt(2))
    assert cell_volumes(Mesh([[0, 0], [3, 4]], {"line": [[1, 0]]}))["line"][0] == pytest.approx(5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 4)], ids=str)
def test_the_boundary_of_a_box(shape):
    """Facets on the boundary: 2(ab + bc + ca); inside: shared by two; Euler's 2; outward normals; ∮ n = 0."""
    mesh = cubes(*shape)
    a, b, c = shape
    shell = boundary_facets(mesh)["quad"]
    assert len(shell) == 2 * (a * b + b * c + c * a)
    assert set(facets(mesh)["quad"].count) <= {1, 2}
    skin, old = boundary(mesh)
    edges = facets(skin)["line"]
    assert len(skin.points) - len(edges.count) + len(shell) == 2
    assert (edges.count == 2).all()
    np.testing.assert_array_equal(skin.point_data["x"], mesh.points[old, 0])
    normals = facet_normals(mesh, {"quad": shell})["quad"]
    outward = mesh.points[shell].mean(1) - np.array(shape) / 2
    assert ((normals * outward).sum(1) > 0).all()
    np.testing.assert_allclose(normals.sum(0), 0, atol=1e-12)


def test_the_boundary_of_quadratic_triangles_is_quadratic():
    points = [[0, 0], [1, 0], [0, 1], [0.5, 0], [0.5, 0.5], [0, 0.5]]
    found = boundary_facets(Mesh(points, {"triangle6": [[0, 1, 2, 3, 4, 5]]}))
    assert sorted(map(tuple, found["line3"].tolist())) == [(0, 1, 3), (1, 2, 4), (2, 0, 5)]


def test_a_part_keeps_its_fields_and_sets():
    mesh = cubes(3, 1, 1)
    mesh = Mesh(
        mesh.points, mesh.cells, mesh.point_data, {"E": {"hexahedron": [1.0, 2.0, 3.0]}},
        node_sets={"right": np.flatnonzero(mesh.points[:, 0] == 3)}, cell_sets={"last": {"hexahedron": [2]}},
        facet_sets={"end": {"quad": [np.flatnonzero(mesh.points[:, 0] == 3)]}},
    )  # fmt: skip
    part, old = subset(mesh, {"hexahedron": [1, 2]})
    np.testing.assert_array_equal(part.points, mesh.points[old])
    assert part.cell_data["E"]["hexahedron"].tolist() == [2.0, 3.0]
    assert part.cell_sets["last"]["hexahedron"].tolist() == [1]
    np.testing.assert_array_equal(old[part.node_sets["right"]], mesh.node_sets["right"])
    np.testing.assert_array_equal(old[part.facet_sets["end"]["quad"]], mesh.facet_sets["end"]["quad"])
    left, _ = subset(mesh, {"hexahedron": [True, False, False]})
    assert len(left.facet_sets["end"]["quad"]) == 0
    assert sum(v.sum() for v in cell_volumes(left).values()) == pytest.approx(1)


def test_what_is_not_in_the_mesh_is_named():
    with pytest.raises(MeshError, match="cells 0 to 7, but the mesh has 1"):
        subset(cubes(1, 1, 1), {"hexahedron": [0, 7]})
    with pytest.raises(MeshError, match="no 'tetra' cells"):
        subset(cubes(1, 1, 1), {"tetra": [0]})
    with pytest.raises(MeshError, match="no unit normal"):
        facet_normals(cubes(1, 1, 1), {"line": np.array([[0, 1]])})


def test_meshes_without_cells_have_no_boundary():
    empty = Mesh(np.zeros((2, 2)), {})
    assert facets(empty) == boundary_facets(empty) == {}
    assert len(restrict(empty)[0].points) == 0
