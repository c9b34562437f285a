"""Damaged, foreign and hostile files give one clear error: no crash, no hang, no unbounded allocation."""

import tracemalloc
import warnings
from pathlib import Path

import meshio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_files import solid, surface
from test_interchange import everything

from meshes import Mesh, MeshFileError, open_meshes, read_mesh, write_mesh, write_meshes
from meshes.interchange import to_pyvista

#: Readers may take the libraries they import, and a few copies of a small file.
ROOM = 64 * 2**20


def written(folder: Path) -> dict[str, bytes]:
    """A real file for every reader that works in this process."""
    import vtk

    for name, mesh in (("a.vtu", everything()), ("a.vtk", everything()), ("a.msh", solid()), ("a.stl", surface())):
        write_mesh(folder / name, mesh)
    for name in ("a.ply", "a.obj"):
        write_mesh(folder / name, surface())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_mesh(folder / "a.inp", solid())
    for mode in ("Ascii", "Binary", "Appended"):
        writer = vtk.vtkXMLUnstructuredGridWriter()
        writer.SetFileName(str(folder / f"{mode}.vtu"))
        writer.SetInputData(to_pyvista(everything()))
        getattr(writer, f"SetDataModeTo{mode}")()
        writer.Write()
    to_pyvista(everything()).save(folder / "text.vtk", binary=False)
    for version in ("2.2", "4.1"):
        bare = meshio.Mesh(solid().points, [("tetra", solid().cells["tetra"])])
        meshio.gmsh.write(folder / f"{version}.msh", bare, version, binary=False)
    meshio.gmsh.write(folder / "binary.msh", bare, "2.2", binary=True)
    meshio.stl._stl.write(str(folder / "text.stl"), meshio.Mesh(surface().points, surface().cells), binary=False)
    meshio.ply.write(str(folder / "text.ply"), meshio.Mesh(surface().points, surface().cells), binary=False)
    write_meshes(folder / "a.h5", [everything(), solid()])
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return written(tmp_path_factory.mktemp("real"))


NAMES = (
    *("a.vtu", "Ascii.vtu", "Binary.vtu", "Appended.vtu", "a.vtk", "text.vtk", "a.msh", "2.2.msh", "4.1.msh"),
    *("binary.msh", "a.stl", "text.stl", "a.ply", "text.ply", "a.obj", "a.inp", "a.h5"),
)


def assert_survived(path: Path, data: bytes) -> None:
    """Reading gives meshes or a `MeshFileError` of one line that names the file, within bounded memory."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        words = trouble(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not words or words.startswith(str(path))
    assert "\n" not in words
    assert peak < ROOM


def trouble(path: Path) -> str:
    """The message of the error, or nothing for what could be read; other errors come out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = open_meshes(path)[:] if path.suffix == ".h5" else [read_mesh(path)]
    except MeshFileError as error:
        return str(error)
    assert all(isinstance(mesh, Mesh) for mesh in found)
    return ""


def test_every_name_is_a_real_file(files, tmp_path):
    assert set(NAMES) == set(files)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        if name != "a.h5":
            assert len(read_mesh(tmp_path / name).points)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_files_with_changed_bytes_are_survived(files, tmp_path, name, data):
    """Any few bytes may be anything."""
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.sampled_from([b"\x00", b"\xff", b"-", b"9", b"99999999999", b" ", b"\n", b"\xff" * 8]))
        content[at : at + len(new)] = new
    assert_survived(tmp_path / name, bytes(content))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_files_cut_off_anywhere_are_survived(files, tmp_path, name, data):
    assert_survived(tmp_path / name, files[name][: data.draw(st.integers(1, len(files[name]) - 1))])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("a.obj", "a.inp")])
def test_half_a_file_is_an_error(files, tmp_path, name):
    """Formats that say how much there is notice that half of it is missing."""
    path = tmp_path / name
    path.write_bytes(files[name][: len(files[name]) // 2])
    with pytest.raises(MeshFileError, match=str(path)):
        open_meshes(path) if path.suffix == ".h5" else read_mesh(path)


@pytest.mark.parametrize("ending", ["vtu", "vtk", "msh", "stl", "ply", "obj", "inp", "xdmf", "med", "h5"])
def test_missing_empty_and_foreign_files(tmp_path, ending):
    read = open_meshes if ending == "h5" else read_mesh
    path = tmp_path / f"a.{ending}"
    with pytest.raises(MeshFileError, match="no such file"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(MeshFileError, match="an empty file"):
        read(path)
    path.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    with pytest.raises(MeshFileError, match=str(path)):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(MeshFileError, match="a directory"):
        read(path)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    '<VTKFile type="UnstructuredGrid"><UnstructuredGrid>&c;</UnstructuredGrid></VTKFile>'
)


@pytest.mark.parametrize("ending", ["vtu", "xdmf", "xml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_every_encoding(tmp_path, ending, encoding):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(LAUGHS.encode(encoding))
    with pytest.raises(MeshFileError, match="document type or entity, which can grow without bound"):
        read_mesh(path)


def test_xml_without_end_is_refused(tmp_path):
    path = tmp_path / "a.vtu"
    path.write_text("<VTKFile>" + "<a>" * 100_000)
    with pytest.raises(MeshFileError, match="nested more than 64 deep"):
        read_mesh(path)


def test_xdmf_files_do_not_reach_out_of_their_folder(tmp_path):
    path = tmp_path / "a.xdmf"
    path.write_text(
        '<Xdmf Version="3.0"><Domain><Grid><Geometry><DataItem Format="HDF" Dimensions="1 3">'
        "/etc/passwd:/x</DataItem></Geometry></Grid></Domain></Xdmf>"
    )
    with pytest.raises(MeshFileError, match="'/etc/passwd' outside its folder: refused"):
        read_mesh(path)


VTU = (
    '<VTKFile type="UnstructuredGrid" {head}><UnstructuredGrid><Piece NumberOfPoints="{n}" NumberOfCells="1"><Points>'
    '<DataArray type="Float64" NumberOfComponents="3">0 0 0 1 0 0 0 1 0</DataArray></Points><Cells>'
    '<DataArray type="Int64" Name="connectivity">{nodes}</DataArray><DataArray type="Int64" Name="offsets">{end}'
    '</DataArray><DataArray type="UInt8" Name="types">{kind}</DataArray></Cells></Piece></UnstructuredGrid></VTKFile>'
)
GOOD = {"head": "", "n": 3, "nodes": "0 1 2", "end": 3, "kind": 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 10**15}, "9 values|has 3 entries, expected 1000000000000000"),
        ({"n": -3}, "counts of at least 0"),
        ({"nodes": "0 1 -2"}, "numbers run from -2 to 1, but there are 3"),
        ({"nodes": "0 1 99999999999"}, "numbers run from 0 to 99999999999, but there are 3"),
        ({"nodes": "0 1"}, "over 2 node numbers, but the types of the cells need 3"),
        ({"nodes": "0 1 two"}, "something else than numbers"),
        ({"end": 10**12}, "offsets of the cells run to 1000000000000"),
        ({"kind": 42}, "VTK cells of type 42: not supported"),
        ({"head": 'compressor="vtkLZ4DataCompressor"'}, "compressed with 'vtkLZ4DataCompressor': expected"),
        ({"head": 'byte_order="Middle"'}, "byte order 'Middle'"),
    ],
)
def test_what_is_wrong_with_a_vtu_file_is_said(tmp_path, change, message):
    path = tmp_path / "a.vtu"
    path.write_text(VTU.format(**GOOD))
    assert len(read_mesh(path).cells["triangle"]) == 1
    path.write_text(VTU.format(**(GOOD | change)))
    with pytest.raises(MeshFileError, match=message):
        read_mesh(path)


def test_a_zip_bomb_stays_packed(tmp_path):
    """512 MB of zeros in 500 kB are stopped at what the block announces."""
    import base64
    import zlib

    packed = zlib.compress(bytes(2**29), 9)
    header = np.array([1, 2**29, 0, len(packed)], dtype=np.uint32).tobytes()
    text = (base64.b64encode(header) + base64.b64encode(packed)).decode()
    path = tmp_path / "a.vtu"
    array = f'<DataArray type="Float64" NumberOfComponents="3" format="binary">{text}</DataArray>'
    path.write_text(
        '<VTKFile type="UnstructuredGrid" compressor="vtkZLibDataCompressor"><UnstructuredGrid>'
        f'<Piece NumberOfPoints="9" NumberOfCells="0"><Points>{array}</Points></Piece></UnstructuredGrid></VTKFile>'
    )
    with pytest.raises(MeshFileError, match="compressed blocks of 536870912 bytes: expected at most"):
        read_mesh(path)
    assert_survived(path, path.read_bytes())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.vtk",
            "# vtk DataFile Version 3.0\nx\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 99999999999 float\n",
            "a count of",
        ),
        (
            "a.vtk",
            "# vtk DataFile Version 3.0\nx\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 9 float\n1 2 3\n",
            "ends early",
        ),
        ("a.vtk", "# vtk DataFile Version 3.0\nx\nASCII\nDATASET FIELD\n", "a data set 'FIELD'"),
        ("a.msh", "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n99999999999\n$EndNodes\n", "a count of"),
        (
            "a.msh",
            "$MeshFormat\n4.1 0 8\n$EndMeshFormat\n$Nodes\n1 1 1 1\n0 1 0 99999999999\n$EndNodes\n",
            "announced in a",
        ),
        ("a.msh", "$MeshFormat\n1.0 0 8\n$EndMeshFormat\n", "expected 2.x or 4.1"),
        ("a.msh", "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n1\n1 0 0 0\n", r"no \$EndNodes"),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n", "a count of"),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex -1\nproperty float x\nend_header\n", "a count of"),
        (
            "a.stl",
            "solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nendloop\nendsolid\n",
            "1 facets and 1 vertices",
        ),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "numbers run from 0 to 8, but there are 3"),
        ("a.inp", "*NODE\n1, 0, 0, 0\n*ELEMENT, TYPE=C3D4\n1, 1, 2, 3, 4\n", "no node has the tag 2"),
        ("a.inp", "*NODE\n1, 0, 0\n*ELEMENT, TYPE=C3D4\n1, 1, 2, 3\n", "expected a multiple of 5"),
        ("a.inp", "*NODE\n1, 0, 0\n*INCLUDE, INPUT=/dev/zero\n", "refers to another file"),
        ("a.inp", "*NODE\n1, 0, 0\n*NSET, NSET=a\nb\n*NSET, NSET=b\na\n", "contains itself"),
        ("a.inp", "*NODE\n1, 0, 0\n1, 1, 1\n", "several nodes have one number"),
    ],
)
def test_absurd_counts_and_numbers_are_refused(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MeshFileError, match=message):
        read_mesh(path)
    assert_survived(path, path.read_bytes())


def test_a_binary_stl_with_an_absurd_count_is_refused(tmp_path):
    path = tmp_path / "a.stl"
    path.write_bytes(bytes(80) + np.array([2**32 - 1], dtype="<u4").tobytes() + bytes(100))
    with pytest.raises(MeshFileError, match="triangles take 214748364"):
        read_mesh(path)


@pytest.mark.parametrize("name", ["a.med", "a.xdmf", "a.vti"])
def test_damage_in_files_of_foreign_libraries_stays_in_their_process(tmp_path, name):
    """HDF5 and VTK run apart: whatever they do over damaged bytes, the answer is an error or a mesh."""
    import pyvista

    path = tmp_path / name
    if name == "a.vti":
        pyvista.ImageData(dimensions=(3, 3, 3)).save(path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_mesh(path, solid())
    victim = path.with_suffix(".h5") if name == "a.xdmf" else path
    whole = bytearray(victim.read_bytes())
    places = np.random.default_rng(0).integers(0, len(whole), (3, 20))
    for row in places:
        damaged = bytearray(whole)
        for at in row:
            damaged[at] ^= 0xFF
        victim.write_bytes(damaged)
        words = trouble(path)
        assert not words or words.startswith(str(path))
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MeshFileError, match="damaged"):
        read_mesh(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.off", "OFF\n99999999999 1 0\n0 0 0\n"),
        ("a.vtk", "# vtk DataFile Version 3.0\nx\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 99999 99999 99999\n"),
    ],
)
def test_absurd_counts_in_foreign_readers_do_not_take_the_memory(tmp_path, name, text):
    """The process of the reader is bounded; this one hears of it."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(
        MeshFileError, match=rf"{name}: (needs more memory|not a file of this format|its reader crashed)"
    ):
        read_mesh(path)
