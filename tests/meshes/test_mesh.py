"""The mesh in memory: what it accepts, what it refuses, equality and words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshes import CELL_TYPES, Mesh, MeshError, cell_type

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def square(**more) -> Mesh:
    return Mesh(SQUARE, {"triangle": TRIANGLES, "line": [[0, 1]]}, **more)


# A unit cell of each type with straight edges: its vertices, then the means of the vertices that a node lies between.
VERTICES = {
    "vertex": [[0.0]],
    "line": [[0.0], [1.0]],
    "triangle": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
    "quad": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
    "tetra": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "hexahedron": [[x, y, z] for z in (0.0, 1.0) for x, y in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))],
    "wedge": [[x, y, z] for z in (0.0, 1.0) for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))],
    "pyramid": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 1.0]],
}


@pytest.mark.parametrize("name", [n for n, kind in CELL_TYPES.items() if kind.dimension == 3 and kind.nodes <= 8])
def test_the_facets_of_a_solid_close_and_look_outward(name):
    """Σ ∫ n dA = 0 and (x_facet − x_centre) · n > 0."""
    points = np.array(VERTICES[name])
    total = np.zeros(3)
    for _, nodes in cell_type(name).facets:
        corners = points[list(nodes)]
        area = 0.5 * sum(
            np.cross(corners[i] - corners[0], corners[i + 1] - corners[0]) for i in range(1, len(nodes) - 1)
        )
        assert area @ (corners.mean(0) - points.mean(0)) > 0
        total += area
    np.testing.assert_allclose(total, 0, atol=1e-14)


@pytest.mark.parametrize(
    "kind", [kind for kind in CELL_TYPES.values() if kind.dimension > 0], ids=lambda kind: kind.name
)
def test_facets_of_higher_order_have_the_vertices_of_the_linear_ones(kind):
    for (own, nodes), (linear, vertices) in zip(kind.facets, cell_type(kind.linear).facets, strict=True):
        assert cell_type(own).linear == linear
        assert cell_type(own).nodes == len(nodes)
        assert nodes[: len(vertices)] == vertices


def test_dimension_and_blocks_are_those_of_the_largest_cells():
    mesh = square()
    assert (mesh.dimension, mesh.space_dimension, mesh.cell_count) == (2, 2, 2)
    assert list(mesh.blocks()) == ["triangle"]
    assert list(mesh.blocks(1)) == ["line"]
    assert Mesh(np.zeros((0, 3)), {}).dimension == 0


def test_arrays_are_copied_and_read_only():
    points = SQUARE.copy()
    mesh = Mesh(points, {"triangle": TRIANGLES})
    points[:] = 7
    np.testing.assert_array_equal(mesh.points, SQUARE)
    with pytest.raises(ValueError, match="read-only"):
        mesh.points[0, 0] = 1


def test_equality_is_of_values_names_and_dtypes():
    fields = {"point_data": {"u": [0.0, 1.0, np.nan, 3.0]}, "node_sets": {"left": [0, 3]}}
    assert square(**fields) == square(**fields)
    assert square(**fields) != square()
    assert square() != Mesh(SQUARE.astype(np.float32), {"triangle": TRIANGLES, "line": [[0, 1]]})
    assert square() != square().with_points(SQUARE + 1e-9)


def test_the_words_name_every_field_and_set():
    mesh = square(
        point_data={"u": np.zeros((4, 2))}, cell_data={"E": {"triangle": [1.0, 2.0]}}, global_data={"load": 3.0},
        node_sets={"corner": [0]}, cell_sets={"steel": {"triangle": [1]}}, facet_sets={"left": {"line": [[3, 0]]}},
    )  # fmt: skip
    for word in ("4 points", "2 triangles", "1 line", "u (4, 2)", "E on triangle", "load", "corner (1)", "steel (1)"):
        assert word in repr(mesh)
    assert mesh.facet_set("left")["line"].tolist() == [[3, 0]]


BAD = {
    "points": (r"points \(4,\)", lambda: Mesh(np.zeros(4), {})),
    "four coordinates": ("dim 1, 2 or 3", lambda: Mesh(np.zeros((2, 4)), {})),
    "cell type": ("'blob': not supported", lambda: Mesh(SQUARE, {"blob": [[0, 1]]})),
    "nodes a cell": (r"expected \(k, 3\)", lambda: Mesh(SQUARE, {"triangle": [[0, 1]]})),
    "node number": ("from 0 to 9, but there are 4", lambda: Mesh(SQUARE, {"triangle": [[0, 1, 9]]})),
    "negative": ("from -1 to 2", lambda: Mesh(SQUARE, {"triangle": [[0, -1, 2]]})),
    "fractions": ("whole numbers", lambda: Mesh(SQUARE, {"triangle": [[0.0, 1.0, 2.0]]})),
    "field length": (r"point field 'u' of shape \(3,\)", lambda: square(point_data={"u": [1.0, 2.0, 3.0]})),
    "field of text": ("numbers", lambda: square(point_data={"u": ["a"] * 4})),
    "cell field": ("'E' is given on 'quad'", lambda: square(cell_data={"E": {"quad": [1.0]}})),
    "node set": ("node set 'a'", lambda: square(node_sets={"a": [4]})),
    "unknown field": ("which has 'u'", lambda: square(point_data={"u": np.zeros(4)}).point_field("v")),
    "unknown set": ("which has none", lambda: square().node_set("left")),
    "missing block": ("no 'tetra' cells; it has 2 triangles", lambda: square().block("tetra")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_named(case):
    words, call = BAD[case]
    with pytest.raises(MeshError, match=words):
        call()


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 6), dim=st.integers(1, 3), dtype=st.sampled_from(["f4", "f8", "i4", "u1"]))
def test_any_points_without_cells_are_a_mesh(n, dim, dtype):
    """float32 stays float32; whole numbers become float64."""
    mesh = Mesh(np.ones((n, dim), dtype), {})
    assert mesh.points.dtype == (np.float32 if dtype == "f4" else np.float64)
    assert mesh == Mesh(np.ones((n, dim), dtype), {})
    assert mesh.cell_count == 0
