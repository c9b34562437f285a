"""Folders of mesh files with a table of scalars: every sample with its own numbers, and what is wrong is named."""

import pickle
import warnings

import numpy as np
import pytest

from meshes import Mesh, write_mesh, write_meshes
from pde_benchmarks.datasets.mesh_folders import MeshFiles, read_mesh_folder, read_mesh_splits
from pde_benchmarks.errors import DatasetError

TABLE = "file,load,radius,peak\npart_1.vtu,1.5,10,0.1\npart_2.vtu,2.5,20,0.2\npart_10.vtu,3.5,30,0.3\n"
NUMBERS = (1, 2, 10)


def part(k, **changes):
    """Two triangles of different size; u = k x."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    x = points[:, 0]
    fields = {
        "point_data": {"u": k * x, "flow": np.stack([x, k + x, 0 * x], axis=1)},
        "cell_data": {"s": {"triangle": [1.0 * k, 2.0 * k]}},
        "global_data": {"own": np.array([100.0 + k])},
        "node_sets": {"corner": [0]},
    }
    return Mesh(points, {"triangle": [[0, 1, 2], [1, 3, 2]]}, **(fields | changes))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "parts"
    path.mkdir()
    for k in NUMBERS:
        write_mesh(path / f"part_{k}.vtu", part(k))
    (path / "scalars.csv").write_text(TABLE)
    return path


def read(folder, fields=None, **options):
    return read_mesh_folder(folder, fields, scalars=folder / "scalars.csv", **options)


def test_samples_come_in_the_order_of_their_numbers_with_their_own_scalars(folder):
    found = read(folder, outputs=["peak"])
    assert found.names == ("part_1", "part_2", "part_10")
    assert (found.input_scalars, found.output_scalars) == (("load", "radius"), ("peak",))
    assert found.units == {}
    for k, mesh, load in zip(NUMBERS, found, (1.5, 2.5, 3.5), strict=True):
        np.testing.assert_array_equal(mesh.point_data["u"], k * mesh.points[:, 0])
        assert float(mesh.global_data["load"]) == load
        assert mesh.node_sets["corner"].tolist() == [0]


def test_a_vector_is_its_components_and_the_flat_one_is_left_out(folder):
    assert read(folder).fields == ("u", "flow_x", "flow_y")
    assert read(folder, ["flow"]).fields == ("flow_x", "flow_y", "flow_z")
    np.testing.assert_array_equal(read(folder, ["flow_y"])[1].point_data["flow_y"], [2.0, 3.0, 2.0, 5.0])


def test_fields_on_cells_are_averaged_only_where_they_are_asked_for(folder):
    """Areas 1/2 and 5/2, values k and 2k: (1/2 + 5) k / 3 between the two."""
    with pytest.raises(DatasetError, match="no point field 's'; on cells there is: name it among the cell fields"):
        read(folder, ["s"])
    mesh = read(folder, [], cell_fields=["s"])[1]
    assert list(mesh.point_data) == ["s"]
    np.testing.assert_allclose(mesh.point_data["s"], [2.0, 11 / 3, 11 / 3, 4.0])


def test_scalars_of_the_meshes_themselves_may_be_named(folder):
    found = read(folder, inputs=["load", "own"], outputs=[])
    assert [float(mesh.global_data["own"]) for mesh in found] == [101.0, 102.0, 110.0]


def test_one_mesh_is_read_at_a_time_and_a_slice_reads_none(folder, monkeypatch):
    read_files = []
    original = MeshFiles.__getitem__
    monkeypatch.setattr(MeshFiles, "__getitem__", lambda self, i: read_files.append(i) or original(self, i))
    found = read(folder)
    opening = len(read_files)
    assert set(read_files) == {0}
    some = found[1:]
    assert len(read_files) == opening
    assert some.names == ("part_2", "part_10")
    assert float(some[1].global_data["load"]) == 3.5
    assert read_files[opening:] == [2]


def test_samples_travel_to_other_processes(folder):
    found = read(folder)
    assert pickle.loads(pickle.dumps(found))[2] == found[2]


def test_semicolons_tabs_and_names_without_ending_are_understood(folder):
    (folder / "scalars.csv").write_text("name;load\npart_1;1\n\npart_10;3\npart_2;2\n", encoding="utf-8-sig")
    assert [float(mesh.global_data["load"]) for mesh in read(folder)] == [1.0, 2.0, 3.0]


def test_a_file_of_many_meshes_is_a_folder_too(tmp_path):
    write_meshes(tmp_path / "set.h5", [part(k) for k in NUMBERS], units={"u": "mm"})
    (tmp_path / "s.csv").write_text("mesh,load\n0,1\n1,2\n2,3\n")
    found = read_mesh_folder(tmp_path / "set.h5", ["u"], scalars=tmp_path / "s.csv", outputs=["own"])
    assert found.units == {"u": "mm"}
    assert [(float(m.global_data["load"]), float(m.global_data["own"])) for m in found] == [
        (1, 101),
        (2, 102),
        (3, 110),
    ]


def test_a_folder_can_be_written_as_one_file(folder, tmp_path):
    found = read(folder)
    write_meshes(tmp_path / "set.h5", found)
    again = read_mesh_folder(tmp_path / "set.h5", inputs=found.input_scalars)
    assert list(again) == list(found)


@pytest.mark.parametrize("ending", ["vtk", "xdmf"])
def test_other_formats(tmp_path, ending):
    for k in NUMBERS:
        mesh = part(k, global_data={}, node_sets={})
        write_mesh(tmp_path / f"part_{k}.{ending}", mesh)
    found = read_mesh_folder(tmp_path, ["u"])
    assert len(found) == 3
    np.testing.assert_array_equal(found[2].point_data["u"], 10 * found[2].points[:, 0])


def test_splits_are_sub_folders_with_one_table_or_one_each(folder, tmp_path):
    for name, k in (("train", 1), ("train", 2), ("test", 10)):
        (tmp_path / name).mkdir(exist_ok=True)
        write_mesh(tmp_path / name / f"part_{k}.vtu", part(k))
    found = read_mesh_splits(tmp_path, ["u"], scalars=folder / "scalars.csv", outputs=["peak"])
    assert {name: split.names for name, split in found.items()} == {
        "parts": ("part_1", "part_2", "part_10"),
        "test": ("part_10",),
        "train": ("part_1", "part_2"),
    }
    assert next(iter(found)) == "train"
    for name, split in found.items():
        rows = "".join(f"{sample},{7 + len(name)}\n" for sample in split.names)
        (tmp_path / name / "own.csv").write_text(f"name,load\n{rows}")
    found = read_mesh_splits(tmp_path, ["u"], scalars="own.csv")
    assert float(found["test"][0].global_data["load"]) == 11.0


def test_the_first_split_says_which_fields_there_are(tmp_path):
    for name, fields in (("train", {"u": np.ones(4)}), ("test", {"u": np.ones(4), "extra": np.ones(4)})):
        write_meshes(tmp_path / f"{name}.h5", [part(1, point_data=fields)])
    found = read_mesh_splits(tmp_path, cell_fields=["s"])
    assert [split.fields for split in found.values()] == [("u", "s")] * 2


def test_no_warning_without_a_reason(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(folder).check()


def test_what_was_passed_over_is_told(folder):
    (folder / "part_3.vtu.part").write_text("half")
    with pytest.warns(UserWarning, match=r"passed over, as no known mesh files: part_3\.vtu\.part"):
        read(folder)
    (folder / "part_3.vtu.part").unlink()
    (folder / "scalars.csv").write_text(TABLE + "part_11.vtu,1,1,1\n")
    with pytest.warns(UserWarning, match=r"scalars\.csv: rows without a mesh: 'part_11\.vtu'"):
        read(folder)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("part_2.vtu,", "part_3.vtu,"), r"no row for 1 of 3 samples \('part_2\.vtu'\)"),
        (TABLE + "part_2,1,1,1\n", r"two rows for 'part_2\.vtu', with and without ending"),
        (TABLE + "part_2.vtu,1,1,1\n", r"a row twice: 'part_2\.vtu'"),
        (TABLE.replace("2.5", "steel"), r"row 'part_2', column 'load': 'steel' is not a finite number"),
        (TABLE.replace("2.5", ""), r"row 'part_2', column 'load': '' is not a finite number"),
        (TABLE.replace("2.5", "nan"), r"'nan' is not a finite number"),
        (TABLE.replace(",radius", ",load"), "a column twice: 'load'"),
        (TABLE.replace("2.5,20", "2.5"), r"row 'part_2\.vtu': 3 cells, but the header has 4"),
        ("file,load\n", "1 lines, expected a header and one row a sample"),
    ],
)
def test_a_faulty_table_is_named(folder, table, message):
    (folder / "scalars.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        read(folder)


def test_text_in_a_column_that_nobody_asked_for_is_no_fault(folder):
    (folder / "scalars.csv").write_text(TABLE.replace("2.5", "steel"))
    assert read(folder, inputs=["radius"]).input_scalars == ("radius",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": ["w"]}, "sample 'part_1': no point field 'w'; at points it has 'u', 'flow'; on cells 's'"),
        ({"fields": ["u", "u"]}, "the field 'u' is asked for twice"),
        ({"fields": "u"}, "fields='u': one text, expected a list of names"),
        ({"inputs": ["speed"]}, "no scalar 'speed' in the mesh, which has 'own', nor a column of"),
        ({"inputs": ["load"], "outputs": ["load"]}, "the scalar 'load' is named twice"),
        ({"ending": "stl"}, r"no mesh files that end in '\.stl'; it holds 3 \.vtu"),
    ],
)
def test_a_request_that_cannot_be_met_is_named(folder, options, message):
    with pytest.raises(DatasetError, match=message):
        read(folder, **options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flow": np.zeros((4, 3))}, "sample 'part_2': no point field 'u'"),
        (
            {"u": [0.0, np.nan, 1.0, np.inf]},
            r"'part_2': field 'u': 2 of 4 values are NaN or infinite, the first at .* 1",
        ),
        ({"u": np.zeros((4, 2))}, r"'part_2': field 'u' has the shape \(4, 2\) .*expected \(n,\) real numbers"),
    ],
)
def test_a_faulty_sample_is_named_when_it_is_read_and_by_a_check(folder, fields, message):
    write_mesh(folder / "part_2.vtu", part(2, point_data=fields))
    found = read(folder, ["u"])
    with pytest.raises(DatasetError, match=message):
        found[1]
    with pytest.raises(DatasetError, match="1 of 3 samples cannot be used: sample 'part_2': "):
        found.check()


def test_a_damaged_file_is_named_by_a_check(folder):
    (folder / "part_10.vtu").write_bytes((folder / "part_10.vtu").read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"1 of 3 samples cannot be used: .*part_10\.vtu"):
        read(folder, ["u"]).check()


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(DatasetError, match="no such folder or file"):
        read_mesh_folder(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no mesh files; it holds nothing.* It holds the splits parts"):
        read_mesh_folder(tmp_path)
    write_mesh(folder / "skin.obj", part(1, point_data={}, cell_data={}, global_data={}, node_sets={}))
    with pytest.raises(DatasetError, match=r"it holds 3 \.vtu, 1 \.obj: choose one kind by ending="):
        read_mesh_folder(folder)
    assert len(read_mesh_folder(folder, ending="vtu")) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no splits in it"):
        read_mesh_splits(tmp_path / "empty")


def test_numbers_of_a_subset_are_checked(folder):
    found = read(folder)
    assert found.subset([2, 0]).names == ("part_10", "part_1")
    with pytest.raises(DatasetError, match="no sample 3 among 3 samples"):
        found.subset([3])
    with pytest.raises(IndexError, match="sample 3 of 3"):
        found[3]
