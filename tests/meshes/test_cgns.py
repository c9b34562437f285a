"""CGNS in files and in memory: fields, cells in the standard's numbering, sets of vertices; cell fields at points."""

import numpy as np
import pytest
from cgns_cases import node, section, solution, text, tree, write, zone

from meshes import Mesh, MeshError, MeshFileError, cell_volumes, read_mesh, structured_grid
from meshes.averaging import cell_field_at_points
from meshes.interchange.cgns_trees import from_cgns_tree

SQUARE = [[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 0]]
QUAD, TIP, EDGE = [[0, 1, 2, 3]], [[1, 4, 2]], [[0, 1]]


def plate():
    """A triangle numbered before a square, an edge between them."""
    parts = [
        section("Triangles", 5, 1, TIP),
        section("Edges", 3, 2, EDGE),
        section("Squares", 7, 3, QUAD),
        solution("Vertices", "Vertex", u=[0, 1, 2, 3, 4]),
        solution("Cells", "CellCenter", s=[10, 20]),
    ]
    return zone(SQUARE, parts, 2)


def test_fields_of_a_file_come_with_their_points_and_cells(tmp_path):
    path = tmp_path / "plate.cgns"
    write(path, tree(plate(), more=[node("Global", "CGNSBase_t", np.array([1, 1], dtype="i4"))]))
    mesh = read_mesh(path)
    order = np.argsort(mesh.point_data["u"])
    np.testing.assert_array_equal(mesh.points[order], np.array(SQUARE)[:, :2])
    assert float(mesh.cell_data["s"]["triangle"][0]) == 10
    assert float(mesh.cell_data["s"]["quad"][0]) == 20
    assert not mesh.global_data


def test_zones_of_a_file_become_one_mesh_without_double_points(tmp_path):
    left = zone([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [section("Q", 7, 1, QUAD)], 1, "Left")
    right = zone([[1, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0]], [section("Q", 7, 1, QUAD)], 1, "Right")
    write(tmp_path / "two.cgns", tree(left, right))
    mesh = read_mesh(tmp_path / "two.cgns")
    assert len(mesh.points) == 6
    assert cell_volumes(mesh)["quad"].sum() == pytest.approx(2.0)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "plate.cgns"
    write(path, tree(plate()))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(MeshFileError, match=r"plate\.cgns: "):
        read_mesh(path)


def test_a_tree_is_the_mesh_of_its_file(tmp_path):
    write(tmp_path / "plate.cgns", tree(plate()))
    ours, files = from_cgns_tree(tree(plate())), read_mesh(tmp_path / "plate.cgns")
    order, other = np.argsort(ours.point_data["u"]), np.argsort(files.point_data["u"])
    np.testing.assert_array_equal(ours.points[order], files.points[other])
    for kind in ("quad", "triangle"):
        np.testing.assert_array_equal(ours.cell_data["s"][kind], files.cell_data["s"][kind])
        np.testing.assert_array_equal(ours.points[ours.cells[kind]], files.points[files.cells[kind]])


def test_boundary_conditions_at_vertices_become_node_sets():
    lists = [
        node("corner", "BC_t", None, [node("PointList", "IndexArray_t", np.array([[5]]))]),
        node("bottom", "BC_t", None, [node("PointRange", "IndexRange_t", np.array([[1, 2]]))]),
        node("wall", "BC_t", None, [text("GridLocation", "GridLocation_t", "EdgeCenter"),
                                    node("PointList", "IndexArray_t", np.array([[2]]))]),
    ]  # fmt: skip
    part = plate()
    part[2].append(node("ZoneBC", "ZoneBC_t", None, lists))
    mesh = from_cgns_tree(tree(part))
    assert {name: ids.tolist() for name, ids in mesh.node_sets.items()} == {"corner": [4], "bottom": [0, 1]}


def test_the_twenty_node_brick_has_its_mid_nodes_between_its_vertices():
    """CGNS: bottom edges, upright edges, top edges."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    edges = [*ring, (0, 4), (1, 5), (2, 6), (3, 7), *((a + 4, b + 4) for a, b in ring)]
    points = np.concatenate([corners, [corners[list(e)].mean(axis=0) for e in edges]])
    mesh = from_cgns_tree(tree(zone(points, [section("B", 18, 1, [np.arange(20)])], 1), dimension=3))
    nodes = mesh.points[mesh.cells["hexahedron20"][0]]
    ours = [*ring, *((a + 4, b + 4) for a, b in ring), (0, 4), (1, 5), (2, 6), (3, 7)]
    np.testing.assert_allclose(nodes[8:], [nodes[list(e)].mean(axis=0) for e in ours])


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (tree(zone(SQUARE, [section("M", 20, 1, QUAD)], 1)), "elements 'M' of type number 20: not supported"),
        (tree(zone(SQUARE, [solution("S", "Vertex", u=[1.0])], 0)), "field 'u' at Vertex: 1 values, expected 5"),
        (tree(plate(), plate()), r"2 zones \(Zone, Zone\), expected one"),
        (tree(), "expected a base with a zone, found none"),
    ],
)
def test_what_a_tree_cannot_say_is_named(root, message):
    with pytest.raises(MeshError, match=message):
        from_cgns_tree(root)


def test_a_base_is_chosen_by_name():
    with pytest.raises(MeshError, match="expected a base 'Blade' with a zone, found 'Base'"):
        from_cgns_tree(tree(plate()), "Blade")


def test_averages_of_cells_keep_constants_and_what_is_symmetric():
    """A linear field's mean around an inner point of a regular grid is its value there."""
    grid = structured_grid(np.arange(5.0), np.arange(4.0))
    (kind,) = grid.blocks()
    x = grid.points[grid.cells[kind]].mean(axis=1)[:, 0]
    mesh = Mesh(grid.points, grid.cells, cell_data={"x": {kind: x}, "one": {kind: np.ones((len(x), 2))}})
    np.testing.assert_allclose(cell_field_at_points(mesh, "one"), 1.0)
    inner = (grid.points[:, 0] > 0) & (grid.points[:, 0] < grid.points[:, 0].max())
    np.testing.assert_allclose(cell_field_at_points(mesh, "x")[inner], grid.points[inner, 0], atol=1e-14)


def test_a_point_without_cells_has_no_average():
    mesh = Mesh([[0.0], [1.0], [5.0]], {"line": [[0, 1]]}, cell_data={"s": {"line": [3.0]}})
    np.testing.assert_array_equal(cell_field_at_points(mesh, "s"), [3.0, 3.0, np.nan])
    with pytest.raises(MeshError, match="cell field 'w': not in the mesh, which has 's'"):
        cell_field_at_points(mesh, "w")
