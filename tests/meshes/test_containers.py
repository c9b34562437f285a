"""Sets of meshes in one HDF5 file: everything comes back, mesh by mesh, and damage is noticed."""

import errno
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from test_files import solid, surface
from test_geometry_topology import cubes
from test_interchange import everything

from meshes import Mesh, MeshError, MeshFileError, mesh_set_writer, open_meshes, write_meshes
from meshes.containers.sink import Sink


@pytest.mark.parametrize("compression", ["lzf", "gzip", None])
def test_different_meshes_come_back_equal(tmp_path, compression):
    """open ∘ write = identity: dtypes, shapes, orders, empty sets, NaN."""
    odd = Mesh(
        np.zeros((3, 1), dtype=np.float32),
        {"line": [[0, 1], [1, 2]], "vertex": []},
        {"σ/λ": np.array([np.nan, np.inf, 1.0]), "z": np.array([1j, 2, 3]), "flag": np.array([True, False, True])},
        {"half": {"line": np.ones((2, 1, 3), dtype=np.float16)}},
        {"number": np.array(2.0), "many": np.zeros((0, 4))},
    )
    meshes = [everything(), solid(), everything(np.float32), surface(), odd, cubes(9, 9, 9)]
    write_meshes(tmp_path / "a.h5", iter(meshes), compression=compression)
    back = open_meshes(tmp_path / "a.h5")
    assert len(back) == 6
    assert list(back) == meshes
    assert back[-1] == meshes[-1]
    assert back[1:3] == meshes[1:3]
    assert back[4].cell_data["half"]["line"].dtype == np.float16


@settings(deadline=None, max_examples=20)
@given(
    values=arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int8, np.uint64]), arrays.array_shapes(min_dims=1, max_dims=3)
    )
)
def test_any_field_comes_back_bit_by_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    mesh = Mesh(np.zeros((len(values), 2)), {}, {"f": values})
    write_meshes(path, [mesh])
    assert open_meshes(path)[0].point_data["f"].tobytes() == values.tobytes()
    assert open_meshes(path)[0] == mesh


def test_notes_say_where_meshes_come_from(tmp_path):
    """Texts by name, none by default."""
    write_meshes(tmp_path / "a.h5", [surface()], notes={"problem": "plate", "made by": "σ"})
    write_meshes(tmp_path / "b.h5", [surface()])
    assert open_meshes(tmp_path / "a.h5").notes == {"problem": "plate", "made by": "σ"}
    assert open_meshes(tmp_path / "b.h5").notes == {}


def test_scalars_make_a_table_with_units(tmp_path):
    """Single numbers among the global data; NaN where a mesh has none."""
    one = Mesh(np.zeros((1, 2)), {}, global_data={"load": np.array(3.0), "tensor": np.eye(2)})
    two = Mesh(np.zeros((1, 2)), {}, global_data={"load": np.array([4]), "angle": np.array(0.5)})
    write_meshes(tmp_path / "a.h5", [one, two], units={"load": "N", "angle": "rad"})
    back = open_meshes(tmp_path / "a.h5")
    assert back.scalars["load"].tolist() == [3.0, 4.0]
    np.testing.assert_array_equal(back.scalars["angle"], [np.nan, 0.5])
    assert "tensor" not in back.scalars
    assert back.units == {"load": "N", "angle": "rad"}
    assert back.schema == 1


def test_equal_arrays_are_stored_once(tmp_path):
    """100 fields on one mesh take the room of the fields."""
    base = cubes(12, 12, 12)
    random = np.random.default_rng(0)
    fields = [random.standard_normal(len(base.points)) for _ in range(100)]
    write_meshes(tmp_path / "a.h5", (Mesh(base.points, base.cells, {"u": u}) for u in fields), compression=None)
    net = sum(u.nbytes for u in fields) + base.points.nbytes + base.cells["hexahedron"].nbytes
    assert (tmp_path / "a.h5").stat().st_size < 1.1 * net
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["arrays"]) == 102


def test_one_field_is_read_alone(tmp_path):
    """The cells of a mesh may be damaged, its field is read."""
    path = tmp_path / "a.h5"
    write_meshes(path, [solid()])
    with h5py.File(path, "r+") as file:
        for name, stored in file["arrays"].items():
            if stored.shape == (2, 4):
                file["arrays"][name][0, 0] = 3
    back = open_meshes(path)
    np.testing.assert_array_equal(back.point_field(0, "v"), solid().point_data["v"])
    with pytest.raises(
        MeshFileError, match=r"checksum of the array .* does not match: the file was changed or damaged"
    ):
        back[0]
    with pytest.raises(MeshError, match=r"mesh 0: no point field 'p'; it has 'u', 'v'"):
        back.point_field(0, "p")


def test_checksums_tell_meshes_apart(tmp_path):
    changed = solid().with_points(solid().points + 1e-12)
    write_meshes(tmp_path / "a.h5", [solid(), changed, solid()])
    back = open_meshes(tmp_path / "a.h5")
    assert back.checksum(0) == back.checksum(2) != back.checksum(1)


def test_the_same_meshes_give_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_meshes(tmp_path / name, [everything(), solid()])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_set_holds_no_open_file_and_may_be_pickled(tmp_path):
    write_meshes(tmp_path / "a.h5", [solid()])
    back = pickle.loads(pickle.dumps(open_meshes(tmp_path / "a.h5")))
    assert back[0] == solid()
    assert (tmp_path / "a.h5").rename(tmp_path / "b.h5").is_file()
    with pytest.raises(MeshFileError, match=r"a\.h5: no such file"):
        back[0]


def test_meshes_are_appended_one_at_a_time(tmp_path):
    with mesh_set_writer(tmp_path / "a.h5", units={"u": "m"}) as writer:
        for count, mesh in enumerate([solid(), surface(), solid()]):
            assert len(writer) == count
            writer.append(mesh)
        assert not (tmp_path / "a.h5").exists()
    assert list(open_meshes(tmp_path / "a.h5")) == [solid(), surface(), solid()]


def test_an_empty_set_is_a_set(tmp_path):
    write_meshes(tmp_path / "a.h5", [])
    assert list(open_meshes(tmp_path / "a.h5")) == []


def test_a_number_beyond_the_set_is_an_index_error(tmp_path):
    write_meshes(tmp_path / "a.h5", [solid()])
    for index in (1, -2):
        with pytest.raises(IndexError, match=f"mesh {index} of a set of 1"):
            open_meshes(tmp_path / "a.h5")[index]


def test_what_ends_early_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.h5"
    write_meshes(path, [solid()])

    def interrupted():
        yield everything()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_meshes(path, interrupted())
    assert list(open_meshes(path)) == [solid()]
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("room", [0, 3000, 60_000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path, monkeypatch, room):
    """The library is told that all is well; the first failure comes out at the next mesh or at the end."""
    import io

    left = room

    def write(self, data):
        nonlocal left
        left -= len(data)
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return io.FileIO.write(self, data)

    monkeypatch.setattr(Sink, "write_raw", write)
    with pytest.raises(MeshFileError, match=r"a\.h5: the disk is full"):
        write_meshes(tmp_path / "a.h5", [cubes(9, 9, k) for k in range(5, 9)], compression=None)
    assert list(tmp_path.iterdir()) == []


def test_places_and_settings_are_checked(tmp_path):
    with pytest.raises(MeshFileError, match="cannot be written"):
        write_meshes(tmp_path / "nowhere" / "a.h5", [])
    with pytest.raises(MeshError, match="compression 'zip': expected 'lzf', 'gzip' or None"):
        write_meshes(tmp_path / "a.h5", [], compression="zip")


def test_foreign_and_newer_containers_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(MeshFileError, match="not one that write_meshes wrote"):
        open_meshes(path)
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file["x"] = np.ones(3)
    with pytest.raises(MeshFileError, match=r"not one that write_meshes wrote \(it holds x\)"):
        open_meshes(path)
    write_meshes(path, [solid()])
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 2
    with pytest.raises(MeshFileError, match="schema 2, this version reads up to 1: update"):
        open_meshes(path)


def test_absurd_sizes_are_refused_before_they_are_read(tmp_path):
    """A data set of 8 TB of which nothing is stored; links to other files."""
    path = tmp_path / "a.h5"
    write_meshes(path, [solid()])
    for replacement in ("huge", "link"):
        write_meshes(path, [solid()])
        with h5py.File(path, "r+") as file:
            (name,) = [n for n, stored in file["arrays"].items() if stored.shape == (5, 3) and stored[0, 1] == 1]
            del file["arrays"][name]
            if replacement == "huge":
                file["arrays"].create_dataset(name, shape=(10**12,), dtype="f8", chunks=(1000,))
            else:
                file["arrays"][name] = h5py.ExternalLink("other.h5", "x")
        with pytest.raises(MeshFileError, match="announces .* values" if replacement == "huge" else "no array"):
            open_meshes(path)[0]


def test_what_is_no_set_of_meshes_is_named(tmp_path):
    mesh = Mesh([[0.0], [1.0]], {"line": [[0, 1]]})
    text = Mesh(mesh.points, mesh.cells, global_data={"material": np.array("steel")})
    for content, words in [
        (mesh, r"a list of one, \[mesh\]"),
        ([mesh, 1], "number 1 is a int: expected a Mesh"),
        ([text], "global_data 'material' of dtype <U5"),
    ]:
        with pytest.raises(MeshError, match=words):
            write_meshes(tmp_path / "a.h5", content)
        assert not (tmp_path / "a.h5").exists()
