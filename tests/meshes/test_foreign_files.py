"""Meshes survive the formats that meshio and VTK handle; what those cannot hold is told."""

import warnings

import numpy as np
import pytest
from test_files import lost, solid, surface
from test_interchange import everything

from meshes import Mesh, MeshFileError, MeshFileWarning, boundary, read_mesh, write_mesh
from meshes.files import FORMATS


def test_other_data_sets_of_vtk_become_cells(tmp_path):
    import pyvista

    grid = pyvista.ImageData(dimensions=(3, 2, 2))
    grid.point_data["u"] = np.arange(12.0)
    for name in ("a.vtk", "a.vti"):
        grid.save(tmp_path / name)
        mesh = read_mesh(tmp_path / name)
        assert len(mesh.cells["hexahedron"]) == 2
        np.testing.assert_array_equal(mesh.point_data["u"], grid.point_data["u"])
    pyvista.Cube().triangulate().save(tmp_path / "a.vtp")
    assert len(read_mesh(tmp_path / "a.vtp").cells["triangle"]) == 12


def test_abaqus_files_hold_overlapping_sets_of_every_kind(tmp_path):
    path = tmp_path / "a.inp"
    text = lost(path, everything())
    assert "set" not in text.replace("does not hold", "")
    assert "point field 'u': left out" in text
    back = read_mesh(path)
    assert {k: v.tolist() for k, v in back.cell_sets["all"].items()} == {"quad": [0], "triangle": [0, 1]}
    assert back.facet_sets["bottom"]["line"].tolist() == [[0, 1], [1, 2]]
    assert back.node_sets["left"].tolist() == [0, 3]


def test_med_files_hold_fields_and_overlapping_sets(tmp_path):
    path = tmp_path / "a.med"
    assert lost(path, solid()) == ""
    text = lost(path, everything())
    assert "node set 'none': left out" in text
    back = read_mesh(path)
    assert {k: v.tolist() for k, v in back.cell_sets["all"].items()} == {"quad": [0], "triangle": [0, 1]}
    assert {k: v.tolist() for k, v in back.cell_sets["soft"].items()} == {"triangle": [1]}
    np.testing.assert_array_equal(back.point_data["v"], everything().point_data["v"])


def test_xdmf_files_hold_fields_and_tell_that_they_hold_no_sets(tmp_path):
    path = tmp_path / "a.xdmf"
    text = lost(path, solid())
    assert "facet set 'bottom': left out" in text
    assert " field '" not in text
    assert (tmp_path / "a.h5").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "a.xdmf"]
    np.testing.assert_array_equal(read_mesh(path).cell_data["E"]["tetra"], [1.0, 2.0])


@pytest.mark.parametrize("ending", ["stl", "ply", "obj"])
def test_surfaces_travel_and_solids_are_refused(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    assert lost(path, surface()) == "" or ending == "obj"
    back = read_mesh(path)
    np.testing.assert_allclose(back.points[back.cells["triangle"]], surface().points[surface().cells["triangle"]])
    with pytest.raises(MeshFileError, match=r"surfaces only, the mesh has solid cells: write its surface, `boundary"):
        write_mesh(path, solid())
    skin, _ = boundary(Mesh(solid().points, solid().cells))
    lost(path, skin)
    assert len(read_mesh(path).cells["triangle"]) == 6


#: Formats whose writer in meshio writes nothing that its reader takes.
REFUSED = ("ugrid",)


@pytest.mark.parametrize("form", [f for f in FORMATS if f.writes], ids=lambda f: f.name)
def test_what_a_format_loses_is_told(tmp_path, form):
    """Every field and set of a mesh either comes back or is named in the warning; or the error says why not."""
    mesh = boundary(solid())[0] if form.cells else solid()
    mesh = Mesh(mesh.points, mesh.cells, {"u": np.arange(float(len(mesh.points)))}, node_sets={"feet": [0, 1]})
    path = tmp_path / f"a{form.endings[0]}"
    if form.name in REFUSED:
        with pytest.raises(MeshFileError, match="cannot hold this mesh"):
            write_mesh(path, mesh)
        return
    text = lost(path, mesh)
    back = read_mesh(path)
    assert (back.point_data.get("u") is not None) != ("point field 'u'" in text)
    assert ("feet" in back.node_sets) != ("node set 'feet'" in text)
    (kind,) = mesh.cells
    if "renumbered" not in text:
        np.testing.assert_allclose(back.points[back.cells[kind]], mesh.points[mesh.cells[kind]], rtol=1e-6)


def test_a_warning_turned_into_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.inp"
    path.write_text("old")
    with warnings.catch_warnings():
        warnings.simplefilter("error", MeshFileWarning)
        with pytest.raises(MeshFileWarning, match="point field 'u': left out"):
            write_mesh(path, solid())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.inp"]


def test_abaqus_sets_are_the_union_of_their_pieces(tmp_path):
    """Sets in several blocks, by range, by name and on the element line; sparse numbers; continued lines."""
    path = tmp_path / "a.inp"
    path.write_text(
        "** a comment\n*HEADING\nplate\n*Node, nset=all\n10, 0., 0.\n20, 1., 0.\n30, 0., 1.d0\n40, 1., 1.\n"
        "*ELEMENT, TYPE=CPS3, ELSET=first\n1, 10, 20,\n 30\n*ELEMENT, TYPE=CPS3, ELSET=First\n5, 20, 40, 30\n"
        "*ELEMENT, TYPE=T2D2, ELSET=foot\n7, 10, 20\n*ELEMENT, TYPE=SPRINGA\n8, 10, 20\n"
        "*NSET, NSET=a\n20\n*NSET, NSET=a\n30,\n*NSET, NSET=b\nA, 40\n*NSET, NSET=r, GENERATE\n10, 999999999999, 20\n"
        "*ELSET, ELSET=c, GENERATE\n1, 5, 4\n*SURFACE, NAME=s\nc, S1\n*STEP\n"
    )
    with pytest.warns(MeshFileWarning) as told:
        mesh = read_mesh(path)
    assert sorted(str(w.message).removeprefix(f"{path}: ") for w in told) == [
        "elements of type 'SPRINGA': passed over.",
        "surface 's': passed over; define it as a set.",
    ]
    assert {k: v.tolist() for k, v in mesh.node_sets.items()} == {
        "all": [0, 1, 2, 3],
        "a": [1, 2],
        "b": [1, 2, 3],
        "r": [0, 2],
    }
    assert {k: v["triangle"].tolist() for k, v in mesh.cell_sets.items()} == {"first": [0, 1], "c": [0, 1]}
    assert mesh.facet_sets["foot"]["line"].tolist() == [[0, 1]]
    assert mesh.cells["triangle"].tolist() == [[0, 1, 2], [1, 3, 2]]
    assert mesh.points.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_fluent_files_are_told_from_those_of_gmsh(tmp_path):
    import meshio

    path = tmp_path / "a.msh"
    meshio.ansys.write(path, meshio.Mesh(solid().points, [("tetra", solid().cells["tetra"])]), binary=False)
    assert read_mesh(path).cells["tetra"].tolist() == solid().cells["tetra"].tolist()


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    import errno

    from meshes.files import vtu_writing

    def full(file, values):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.vtu"
    write_mesh(path, solid())
    monkeypatch.setattr(vtu_writing, "_write_array", full)
    with pytest.raises(MeshFileError, match=r"a\.vtu: the disk is full"):
        write_mesh(path, surface())
    assert read_mesh(path) == solid()


@pytest.mark.parametrize("ending", ["msh", "inp", "med"])
def test_sets_that_cross_keep_members_order_and_orientation(tmp_path, ending):
    """Cells keep their numbers whatever sets they are in; a facet keeps the order of its nodes."""
    mesh = Mesh(
        [[0, 0], [1, 0], [1, 1], [0, 1]],
        {"triangle": [[0, 1, 2], [0, 2, 3]], "line": [[2, 3], [1, 0]]},
        {},
        {"k": {"line": [1.0, 2.0], "triangle": [3.0, 4.0]}},
        {},
        {"n1": [0, 1], "n2": [1, 2]},
        {"c1": {"triangle": [0]}, "c2": {"triangle": [0, 1]}},
        {"bottom": {"line": [[0, 1]]}, "two": {"line": [[2, 3], [0, 1]]}},
    )
    text = lost(tmp_path / f"a.{ending}", mesh)
    assert text == "" or (ending == "inp" and " set '" not in text and "order" not in text)
    back = read_mesh(tmp_path / f"a.{ending}")
    assert back.cells["triangle"].tolist() == mesh.cells["triangle"].tolist()
    assert back.facet_sets["bottom"]["line"].tolist() == [[0, 1]]
    assert {name: ids.tolist() for name, ids in back.node_sets.items()} == {"n1": [0, 1], "n2": [1, 2]}


@pytest.mark.parametrize("name", ["a.inp", "a.xdmf"])
def test_marks_of_nodes_do_not_keep_a_mesh_out_of_a_format(tmp_path, name):
    """Vertex cells, as Gmsh's sets of nodes become, are left out where a format has no place for them, and told."""
    mesh = surface()
    marked = Mesh(mesh.points, {"vertex": [[0], [2]], **mesh.cells})
    write_mesh(tmp_path / "a.msh", marked)
    with pytest.warns(MeshFileWarning, match="vertex"):
        write_mesh(tmp_path / name, read_mesh(tmp_path / "a.msh"))
    back = read_mesh(tmp_path / name)
    assert {kind: len(nodes) for kind, nodes in back.cells.items()} == {k: len(v) for k, v in mesh.cells.items()}


def test_a_field_that_a_format_cannot_hold_takes_no_other_with_it(tmp_path):
    mesh = surface()
    n = len(mesh.points)
    fields = {"u": np.arange(n, dtype=float), "b": np.ones(n, dtype=bool)}
    with pytest.warns(MeshFileWarning, match="'b'"):
        write_mesh(tmp_path / "a.xdmf", Mesh(mesh.points, mesh.cells, fields))
    assert list(read_mesh(tmp_path / "a.xdmf").point_data) == ["u"]
