"""check_mesh finds each defect, repair_mesh mends what can be mended."""

import numpy as np
import pytest
from test_geometry_topology import cubes
from test_mesh import VERTICES

from meshes import Mesh, MeshError, cell_volumes
from meshes.quality import check_mesh, repair_mesh, scaled_jacobians

SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def test_a_sound_mesh_has_an_empty_report():
    report = check_mesh(cubes(2, 2, 2))
    assert report.is_sound
    assert str(report) == "The mesh is sound."


def test_every_defect_is_found():
    points = [*SQUARE, [1.0, 1.0], [5.0, 5.0], [np.nan, 0.0]]
    cells = [[0, 1, 2], [0, 3, 2], [0, 0, 1], [4, 3, 0], [1, 2, 0], [0, 2, 1]]
    report = check_mesh(Mesh(points, {"triangle": cells}))
    assert report.non_finite_points.tolist() == [6]
    assert report.inverted["triangle"].tolist() == [1, 5]
    assert report.degenerate["triangle"].tolist() == [2]
    assert report.duplicate_points.tolist() == [4]
    assert report.orphan_points.tolist() == [5, 6]
    assert report.duplicate_cells["triangle"].tolist() == [4, 5]
    assert [0, 1] in report.non_manifold_facets["line"].tolist()
    words = str(report)
    for word in ("NaN", "on top of another: 4", "inverted triangle cells: 1, 5, at (0.333, 0.667)", "no cell uses"):
        assert word in words


@pytest.mark.parametrize("name", ["triangle", "quad", "tetra", "hexahedron", "wedge", "pyramid"])
def test_repair_turns_inverted_cells_around(name):
    """All volumes become positive and keep their size."""
    points = np.array(VERTICES[name], dtype=float)
    mirrored = points * [-1.0, *[1.0] * (points.shape[1] - 1)]
    mesh = Mesh(mirrored, {name: [np.arange(len(points))]})
    assert cell_volumes(mesh)[name][0] < 0
    repaired, report = repair_mesh(mesh)
    assert cell_volumes(repaired)[name][0] == pytest.approx(-cell_volumes(mesh)[name][0])
    assert report.is_sound


def test_repair_joins_points_and_drops_what_is_left_over():
    """Two squares that touch without sharing nodes, a collapsed cell, a copy, an unused point: two sound triangles."""
    points = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [9.0, 9.0]]
    cells = [[0, 1, 2], [3, 4, 5], [0, 1, 3], [1, 4, 2]]
    mesh = Mesh(points, {"triangle": cells}, {"u": np.arange(7.0)}, node_sets={"seam": [3, 5]})
    repaired, report = repair_mesh(mesh)
    assert report.is_sound
    assert repaired.cells["triangle"].tolist() == [[0, 1, 2], [1, 3, 2]]
    assert repaired.point_data["u"].tolist() == [0.0, 1.0, 2.0, 4.0]
    assert repaired.node_sets["seam"].tolist() == [1, 2]
    with pytest.raises(MeshError, match="1 points with NaN"):
        repair_mesh(Mesh([[np.nan, 0.0]], {}))


def test_regular_cells_have_quality_one_and_flat_ones_none():
    regular = {
        "triangle": [[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]],
        "quad": SQUARE,
        "tetra": [[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]],
        "hexahedron": VERTICES["hexahedron"],
    }
    for name, corners in regular.items():
        points = np.array(corners, dtype=float)
        mesh = Mesh(points, {name: [np.arange(len(points))]})
        assert scaled_jacobians(mesh)[name][0] == pytest.approx(1, rel=1e-12)
        assert scaled_jacobians(mesh.with_points(points * 7 + 3))[name][0] == pytest.approx(1, rel=1e-12)
        flat = points * [*[1.0] * (points.shape[1] - 1), 0.0]
        assert scaled_jacobians(mesh.with_points(flat))[name][0] <= 1e-12
    with pytest.raises(MeshError, match="not defined"):
        scaled_jacobians(Mesh(VERTICES["wedge"], {"wedge": [range(6)]}))


def test_a_quadrilateral_turned_over_at_a_corner_is_folded():
    """Positive area, and a vertex inside of the triangle of the others; repair cannot guess what was meant."""
    dart = Mesh([[0, 0], [1, 0], [0.2, 0.2], [0, 1]], {"quad": [[0, 1, 2, 3]]})
    report = check_mesh(dart)
    assert report.folded["quad"].tolist() == [0]
    assert not report.is_sound
    assert "1 folded quad cells: 0" in str(report)
    _, remaining = repair_mesh(dart)
    assert remaining.folded["quad"].tolist() == [0]


def test_a_hexahedron_turned_over_at_a_corner_is_folded():
    cube = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)[[0, 1, 3, 2, 4, 5, 7, 6]]
    cells = {"hexahedron": [[0, 1, 2, 3, 4, 5, 6, 7]]}
    assert check_mesh(Mesh(cube, cells)).is_sound
    cube[6] = [0.2, 0.2, 0.2]
    assert check_mesh(Mesh(cube, cells)).folded["hexahedron"].tolist() == [0]
