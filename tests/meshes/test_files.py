"""Meshes survive files; what a format cannot hold is told."""

import warnings

import numpy as np
import pytest
from test_geometry_topology import cubes
from test_interchange import everything

from meshes import CELL_TYPES, Mesh, MeshFileError, MeshFileWarning, read_mesh, write_mesh
from meshes.interchange import from_pyvista, to_pyvista


def solid() -> Mesh:
    """Two tetrahedra with fields and sets of every kind; the sets of cells share none."""
    points = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1.0]]
    return Mesh(
        points,
        {"tetra": [[0, 1, 2, 3], [1, 2, 3, 4]]},
        {"u": np.arange(5.0), "v": np.arange(15.0).reshape(5, 3)},
        {"E": {"tetra": [1.0, 2.0]}},
        {},
        {"feet": [0, 1]},
        {"A": {"tetra": [0]}, "B": {"tetra": [1]}},
        {"bottom": {"triangle": [[0, 2, 1]]}},
    )


def surface() -> Mesh:
    points = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    return Mesh(points, {"triangle": [[0, 1, 2], [1, 3, 2]]})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", ["vtu", "vtk"])
def test_vtk_formats_hold_everything(tmp_path, recwarn, ending, dtype):
    """read ∘ write = identity, and PyVista reads the same mesh out of the file."""
    import pyvista

    path = tmp_path / f"a.{ending}"
    mesh = everything(dtype)
    write_mesh(path, mesh)
    assert read_mesh(path) == mesh
    assert from_pyvista(pyvista.read(path)) == mesh
    assert not [w for w in recwarn if issubclass(w.category, MeshFileWarning)]


@pytest.mark.parametrize("ending", ["vtu", "vtk"])
@pytest.mark.parametrize("name", [kind.name for kind in CELL_TYPES.values()])
def test_vtk_formats_hold_every_cell_type(tmp_path, ending, name):
    kind = CELL_TYPES[name]
    mesh = Mesh(np.random.default_rng(0).standard_normal((kind.nodes, 3)), {name: [np.arange(kind.nodes)] * 2})
    write_mesh(tmp_path / f"a.{ending}", mesh)
    assert read_mesh(tmp_path / f"a.{ending}") == mesh


@pytest.mark.parametrize("ending", ["vtu", "vtk"])
def test_shapes_names_and_values_out_of_the_ordinary_survive(tmp_path, ending):
    """Tensors, single numbers, columns of one component, NaN, names with blanks, markup and letters of all scripts."""
    mesh = Mesh(
        np.eye(3),
        {"triangle": [[0, 1, 2]]},
        {
            "σ <&\"'>": np.arange(27.0).reshape(3, 3, 3),
            "a column": np.ones((3, 1)),
            "nan": np.array([np.nan, 1, np.inf]),
        },
        {"100 %": {"triangle": np.arange(4, dtype=np.int16).reshape(1, 2, 2)}},
        {"number": np.array(2.5), "matrix": np.arange(6).reshape(2, 3), "none": np.zeros((0, 2))},
        {"left: a b": [2, 0]},
        {"empty": {"triangle": []}},
    )
    write_mesh(tmp_path / f"a.{ending}", mesh)
    assert read_mesh(tmp_path / f"a.{ending}") == mesh


@pytest.mark.parametrize("ending", ["vtu", "vtk"])
def test_meshes_without_cells_or_points_survive(tmp_path, ending):
    for mesh in (Mesh([[0.0, 1.0, 2.0]], {}, {"u": [1.0]}), Mesh(np.zeros((0, 2)), {})):
        write_mesh(tmp_path / f"a.{ending}", mesh)
        assert read_mesh(tmp_path / f"a.{ending}") == mesh


@pytest.mark.parametrize("order", ["LittleEndian", "BigEndian"])
@pytest.mark.parametrize("compressor", ["None", "ZLib", "LZMA"])
@pytest.mark.parametrize("mode", ["Ascii", "Binary", "Appended", "Raw"])
def test_every_encoding_of_vtu_is_read(tmp_path, mode, compressor, order):
    """What VTK writes in any encoding, compression and byte order is the same mesh."""
    import vtk

    path = tmp_path / "a.vtu"
    writer = vtk.vtkXMLUnstructuredGridWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(to_pyvista(everything()))
    getattr(writer, f"SetDataModeTo{mode.replace('Raw', 'Appended')}")()
    writer.SetEncodeAppendedData(mode != "Raw")
    getattr(writer, f"SetCompressorTypeTo{compressor}")()
    getattr(writer, f"SetByteOrderTo{order}")()
    writer.SetBlockSize(64)
    for header in ("UInt32", "UInt64"):
        getattr(writer, f"SetHeaderTypeTo{header}")()
        writer.Write()
        assert read_mesh(path) == everything()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("version", [42, 51])
def test_every_version_of_legacy_vtk_is_read(tmp_path, version, text):
    import pyvista
    import vtk

    path = tmp_path / "a.vtk"
    cube = pyvista.Cube().triangulate()
    cube.clear_point_data()
    for grid, writer in (
        (to_pyvista(everything()), vtk.vtkUnstructuredGridWriter()),
        (cube, vtk.vtkPolyDataWriter()),
    ):
        writer.SetFileName(str(path))
        writer.SetInputData(grid)
        writer.SetFileVersion(version)
        writer.SetFileType(1 if text else 2)
        writer.Write()
        assert read_mesh(path) == from_pyvista(grid)


def test_pieces_are_joined(tmp_path):
    piece = (
        '<Piece NumberOfPoints="3" NumberOfCells="1"><PointData><DataArray type="Int32" Name="a">1 2 3</DataArray>'
        '</PointData><Points><DataArray type="Float32" NumberOfComponents="3">0 0 {0} 1 0 {0} 0 1 {0}</DataArray>'
        '</Points><Cells><DataArray type="Int64" Name="connectivity">0 1 2</DataArray>'
        '<DataArray type="Int64" Name="offsets">3</DataArray>'
        '<DataArray type="UInt8" Name="types">5</DataArray></Cells></Piece>'
    )
    body = piece.format(1) + piece.format(2)
    path = tmp_path / "a.vtu"
    path.write_text(f'<VTKFile type="UnstructuredGrid"><UnstructuredGrid>{body}</UnstructuredGrid></VTKFile>')
    mesh = read_mesh(path)
    assert mesh.cells["triangle"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert mesh.point_data["a"].tolist() == [1, 2, 3, 1, 2, 3]
    assert mesh.points[:, 2].tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("ending", ["vtk", "vtu"])
def test_axis_parallel_cells_become_general_ones(tmp_path, ending):
    """Voxels of an image are hexahedra of the same volume."""
    import pyvista

    from meshes import cell_volumes

    path = tmp_path / f"a.{ending}"
    grid = pyvista.ImageData(dimensions=(3, 2, 4), spacing=(1, 2, 3)).cast_to_unstructured_grid()
    grid.save(path)
    volumes = cell_volumes(read_mesh(path))["hexahedron"]
    np.testing.assert_allclose(volumes, 6.0)
    assert len(volumes) == 6


def lost(path, mesh: Mesh) -> str:
    """The warning of writing, or nothing; the file is there either way."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", MeshFileWarning)
        write_mesh(path, mesh)
    found = [str(w.message) for w in told if w.category is MeshFileWarning]
    assert len(found) <= 1
    assert all(str(path) in text for text in found)
    assert path.is_file()
    return found[0] if found else ""


def test_gmsh_files_hold_fields_and_sets(tmp_path):
    """Physical groups carry sets of cells, facets and nodes, overlapping ones too."""
    path = tmp_path / "a.msh"
    assert lost(path, solid()) == ""
    back = read_mesh(path)
    assert {k: v["tetra"].tolist() for k, v in back.cell_sets.items()} == {"A": [0], "B": [1]}
    assert back.facet_sets["bottom"]["triangle"].tolist() == [[0, 2, 1]]
    assert back.node_sets["feet"].tolist() == [0, 1]
    np.testing.assert_array_equal(back.point_data["v"], solid().point_data["v"])
    np.testing.assert_array_equal(back.cell_data["E"]["tetra"], [1.0, 2.0])
    text = lost(path, everything())
    assert "global data 'load': left out" in text
    assert "'v': shape (6, 2) comes back as (6, 3)" in text
    assert " set '" not in text
    back = read_mesh(path)
    assert {k: v.tolist() for k, v in back.cell_sets["all"].items()} == {"quad": [0], "triangle": [0, 1]}
    assert back.node_sets["none"].tolist() == []
    assert "line" not in back.cell_data["E"]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", ["2.2", "4.1"])
@pytest.mark.parametrize("name", [kind.name for kind in CELL_TYPES.values()])
def test_gmsh_cells_agree_with_meshio(tmp_path, name, version, binary):
    """Every cell type in every version and encoding that meshio writes; and meshio reads ours."""
    import meshio

    kind = CELL_TYPES[name]
    path = tmp_path / "a.msh"
    points = np.random.default_rng(0).standard_normal((kind.nodes, 3))
    cells = np.array([np.arange(kind.nodes), np.arange(kind.nodes)[::-1]])
    u = np.arange(float(kind.nodes))
    tags = {"gmsh:physical": [np.array([3, 0 if version == "2.2" else 3])]}
    entities = {"gmsh:dim_tags": np.tile([kind.dimension, 1], (kind.nodes, 1))} if version == "4.1" else {}
    fields = binary and version == "2.2"  # the other writers of meshio put np.float64(...) into the file, or fail
    tags |= {"E": [np.array([1.0, 2.0])]} if fields else {}
    data = {"u": u, **entities} if fields else entities
    source = meshio.Mesh(points, [(name, cells)], data, {"gmsh:geometrical": [np.ones(2, int)], **tags})
    meshio.gmsh.write(path, source, version, binary)
    back = read_mesh(path)
    np.testing.assert_array_equal(back.cells[name], cells)
    np.testing.assert_allclose(back.points, points, rtol=1e-15)
    if fields:
        np.testing.assert_array_equal(back.point_data["u"], u)
        np.testing.assert_array_equal(back.cell_data["E"][name], [1.0, 2.0])
    assert back.cell_sets["physical 3"][name].tolist() == ([0] if version == "2.2" else [0, 1])
    write_mesh(path, Mesh(points, {name: cells}, {"u": u}))
    np.testing.assert_array_equal(meshio.gmsh.read(path).cells_dict[name], cells)


def test_gmsh_tags_may_be_sparse(tmp_path):
    """Nodes numbered 10, 7, 30; fields on some elements only."""
    path = tmp_path / "a.msh"
    path.write_text(
        '$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n1\n2 5 "two words"\n$EndPhysicalNames\n'
        "$Nodes\n3\n10 0 0 0\n7 1 0 0\n30 0 1 0\n$EndNodes\n"
        "$Elements\n3\n4 1 2 0 1 10 7\n9 2 3 5 1 0 10 7 30\n8 2 2 0 1 7 30 10\n$EndElements\n"
        '$ElementData\n1\n"q"\n1\n0\n3\n0\n1\n1\n9 2.5\n$EndElementData\n'
    )
    mesh = read_mesh(path)
    assert mesh.cells["triangle"].tolist() == [[1, 2, 0], [0, 1, 2]]  # element 8, then element 9
    assert mesh.cells["line"].tolist() == [[0, 1]]
    assert mesh.cell_sets["two words"]["triangle"].tolist() == [1]
    np.testing.assert_array_equal(mesh.cell_data["q"]["triangle"], [np.nan, 2.5])
    assert "line" not in mesh.cell_data["q"]


def test_writing_what_was_read_does_not_let_a_gmsh_file_grow(tmp_path):
    path = tmp_path / "a.msh"
    write_mesh(path, solid())
    once = read_mesh(path)
    lost(path, once)
    assert {k: len(v) for k, v in read_mesh(path).cells.items()} == {k: len(v) for k, v in once.cells.items()}


def test_text_and_binary_stl_are_the_same_surface(tmp_path):
    """Corners that agree become one point; the order of corners stays."""
    import meshio

    mesh = surface()
    for binary in (False, True):
        source = meshio.Mesh(mesh.points, [("triangle", mesh.cells["triangle"])])
        meshio.stl._stl.write(str(tmp_path / "a.stl"), source, binary=binary)
        back = read_mesh(tmp_path / "a.stl")
        assert len(back.points) == 4
        np.testing.assert_array_equal(
            back.points[back.cells["triangle"]].astype(np.float32), mesh.points[mesh.cells["triangle"]]
        )


def test_what_even_vtu_does_not_hold_is_told(tmp_path):
    mesh = Mesh(
        np.eye(3),
        {"triangle": [[0, 1, 2]], "line": [[0, 1]]},
        {"flag": np.array([True, False, True]), "z": np.array([1j, 0, 1]), "half": np.ones(3, dtype=np.float16)},
        {"id": {"triangle": [7]}, "void": {"triangle": [np.nan], "line": [1.0]}},
    )
    text = lost(tmp_path / "a.vtu", mesh)
    for words in ("'flag': stored as 0 and 1", "'z': dtype complex128 left out", "'half': float16 stored as float32"):
        assert words in text
    assert "'id': int64 stored as float64, NaN where it is not given (line)" in text
    assert "'void': left out on the types where all its values are NaN" in text
    back = read_mesh(tmp_path / "a.vtu")
    assert back.cell_data["id"]["triangle"].tolist() == [7.0]
    assert "z" not in back.point_data


def test_thousands_of_cells_keep_their_numbers(tmp_path):
    """A structured mesh of 20³ hexahedra comes back bit by bit."""
    mesh = cubes(20, 20, 20)
    write_mesh(tmp_path / "a.vtu", mesh)
    assert read_mesh(tmp_path / "a.vtu") == mesh


def test_the_wanted_dimension_must_be_there(tmp_path):
    path = tmp_path / "a.vtu"
    write_mesh(path, surface())
    assert read_mesh(path, dimension=2) == surface()
    with pytest.raises(MeshFileError, match=r"a\.vtu: no cells of dimension 3; it holds 2 triangle"):
        read_mesh(path, dimension=3)


def test_endings_and_places(tmp_path):
    with pytest.raises(MeshFileError, match=r"the ending '\.pdf' names no known mesh format: use one of \.vtu, \.vtk"):
        read_mesh(tmp_path / "a.pdf")
    with pytest.raises(MeshFileError, match="exodus files are read, not written"):
        write_mesh(tmp_path / "a.exo", solid())
    with pytest.raises(MeshFileError, match="does not exist: create it first"):
        write_mesh(tmp_path / "nowhere" / "a.vtu", solid())
    with pytest.raises(MeshFileError, match="characters that XML cannot hold"):
        write_mesh(tmp_path / "a.vtu", Mesh(np.eye(3), {}, {"a\x00": np.ones(3)}))
    assert list(tmp_path.iterdir()) == []
