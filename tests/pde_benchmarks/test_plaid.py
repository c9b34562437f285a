"""Data sets of PLAID: with its package where it is installed, else with a stand-in for what it hands out."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from pde_benchmarks.datasets.plaid import read_plaid
from pde_benchmarks.errors import DatasetError

INPUT = ["Global/load", "Base_2_2/Zone/GridCoordinates/CoordinateX"]
OUTPUT = ["Base_2_2/Zone/VertexFields/u", "Global/peak"]


def triangle(i):
    """A CGNS tree: one triangle, u = x + i."""
    xy = {"CoordinateX": np.array([0.0, 1.0 + i, 0.0]), "CoordinateY": np.array([0.0, 0.0, 1.0])}
    axes = [[name, values, [], "DataArray_t"] for name, values in xy.items()]
    nodes = [
        ["ElementRange", np.array([1, 1]), [], "IndexRange_t"],
        ["ElementConnectivity", np.array([1, 2, 3]), [], "DataArray_t"],
    ]
    place = ["GridLocation", np.frombuffer(b"Vertex", dtype="S1"), [], "GridLocation_t"]
    inside = [
        ["ZoneType", np.frombuffer(b"Unstructured", dtype="S1"), [], "ZoneType_t"],
        ["GridCoordinates", None, axes, "GridCoordinates_t"],
        ["Elements_TRI_3", np.array([5, 0]), nodes, "Elements_t"],
        ["VertexFields", None, [place, ["u", xy["CoordinateX"] + i, [], "DataArray_t"]], "FlowSolution_t"],
    ]
    zone = ["Zone", np.array([[3, 1, 0]]), inside, "Zone_t"]
    numbers = {"load": 5.0 + i, "peak": 1.0 + 2 * i}
    globals_ = [[name, np.array([value]), [], "DataArray_t"] for name, value in numbers.items()]
    globals_.append(["material", np.frombuffer(b"steel", dtype="S1"), [], "DataArray_t"])
    bases = [["Base_2_2", np.array([2, 2]), [zone], "CGNSBase_t"], ["Global", np.array([1, 1]), globals_, "CGNSBase_t"]]
    return ["CGNSTree", None, bases, "CGNSTree_t"]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """PLAID's storage with two training samples and one test sample, which has two instants."""
    (tmp_path / "infos.yaml").write_text("storage_backend: cgns\n")
    storage = ModuleType("plaid.storage")
    samples = {"train": [{0.0: triangle(0)}, {0.0: triangle(1)}], "test": [{0.0: triangle(2), 1.5: triangle(3)}]}
    one = SimpleNamespace(input_features=INPUT, output_features=OUTPUT)
    storage.definitions = {"benchmark": one}
    converter = SimpleNamespace(to_plaid=lambda dataset, i: SimpleNamespace(data=dataset[i]))
    storage.init_from_disk = lambda path: (samples, dict.fromkeys(samples, converter))
    storage.load_problem_definitions_from_disk = lambda path: storage.definitions
    monkeypatch.setitem(sys.modules, "plaid", ModuleType("plaid"))
    monkeypatch.setitem(sys.modules, "plaid.storage", storage)
    return tmp_path, storage


def test_the_problem_definition_says_what_is_given_and_what_is_predicted(stand_in):
    found = read_plaid(stand_in[0])
    assert (found.fields, found.input_scalars, found.output_scalars) == (("u",), ("load",), ("peak",))
    for i, mesh in enumerate(found):
        np.testing.assert_array_equal(mesh.point_data["u"], mesh.points[:, 0] + i)
        assert {name: float(v) for name, v in mesh.global_data.items()} == {"load": 5.0 + i, "peak": 1.0 + 2 * i}


def test_names_that_are_given_take_precedence(stand_in):
    found = read_plaid(stand_in[0], fields=[], inputs=["peak"], outputs=[])
    assert (found.fields, found.input_scalars, found.output_scalars) == ((), ("peak",), ())


def test_without_a_definition_all_fields_are_taken_and_scalars_must_be_named(stand_in):
    stand_in[1].definitions.clear()
    found = read_plaid(stand_in[0], inputs=["load"])
    assert (found.fields, found.input_scalars, found.output_scalars) == (("u",), ("load",), ())
    with pytest.raises(DatasetError, match="no scalar 'material' in the mesh"):
        read_plaid(stand_in[0], inputs=["material"])


def test_several_definitions_are_chosen_from(stand_in):
    stand_in[1].definitions["other"] = SimpleNamespace(input_features=["Global/peak"], output_features=OUTPUT[:1])
    with pytest.raises(DatasetError, match=r"2 problem definitions \('benchmark', 'other'\): choose one"):
        read_plaid(stand_in[0])
    assert read_plaid(stand_in[0], definition="other").input_scalars == ("peak",)
    with pytest.raises(DatasetError, match="no problem definition 'third'"):
        read_plaid(stand_in[0], definition="third")


def test_one_of_several_instants_is_chosen(stand_in):
    with pytest.raises(DatasetError, match=r"sample 0: 2 instants \(0, 1\.5\): choose one"):
        read_plaid(stand_in[0], "test")
    assert float(read_plaid(stand_in[0], "test", time=1.5)[0].global_data["load"]) == 8.0
    with pytest.raises(DatasetError, match=r"no instant 2\.0; it has 0, 1\.5"):
        read_plaid(stand_in[0], "test", time=2.0)


def test_what_is_no_data_set_is_named(stand_in, tmp_path):
    with pytest.raises(DatasetError, match="no split 'validation'; there are test, train"):
        read_plaid(stand_in[0], "validation")
    with pytest.raises(DatasetError, match=r"no infos\.yaml in it"):
        read_plaid(tmp_path / "elsewhere")


def test_zarr_arrays_that_might_be_unpickled_are_refused(stand_in):
    array = stand_in[0] / "data" / "train" / "sample_000000000" / "Global__load"
    array.mkdir(parents=True)
    (array / ".zarray").write_text('{"filters": [{"id": "pickle"}]}')
    with pytest.raises(DatasetError, match="Zarr of format 2, expected 3"):
        read_plaid(stand_in[0])


def test_the_missing_package_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plaid", None)
    monkeypatch.delitem(sys.modules, "plaid.storage", raising=False)
    with pytest.raises(DatasetError, match=r"pip install 'pyplaid>=1\.0'"):
        read_plaid(tmp_path)


@pytest.mark.parametrize("backend", ["cgns", "zarr"])
def test_what_the_package_wrote_is_read(tmp_path, backend):
    storage = pytest.importorskip("plaid.storage")
    from plaid import ProblemDefinition, Sample

    def sample(i):
        made = Sample()
        made.add_tree(triangle(i))
        return made

    definition = ProblemDefinition(
        input_features=INPUT, output_features=OUTPUT, train_split={"train": "all"}, test_split={"test": "all"}
    )
    path = tmp_path / "set"
    splits = {"train": [0, 1], "test": [2]}
    storage.save_to_disk(path, sample, splits, backend=backend, pb_defs={"benchmark": definition})
    found = read_plaid(path)
    assert found.names == ("train/0", "train/1")
    assert (found.fields, found.input_scalars, found.output_scalars) == (("u",), ("load",), ("peak",))
    np.testing.assert_array_equal(found[1].point_data["u"], found[1].points[:, 0] + 1)
    assert float(read_plaid(path, "test")[0].global_data["load"]) == 7.0
