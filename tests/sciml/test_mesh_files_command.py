"""What ``sciml run --data`` reads of meshes: vectors, fields on cells, mirror images, PLAID's layout, several kinds."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mesh_commands import QUICK, complaint, obey, write_folder
from mmgp_parts import CORNERS, arch, arches

from meshes import read_mesh, write_mesh
from sciml.learners.mesh_baselines import NearestPartConfig
from sciml.learners.mmgp import Mirror, PartFamily
from sciml.mesh_experiments.components import odd_components
from sciml.mesh_experiments.mirrors import mirror_of
from sciml.mesh_learner import load_mesh_learner, mesh_learner_types
from sciml.runs import read_yaml

LANDMARKS = ["--landmarks", ",".join(CORNERS)]
NEAREST = ["--learner", "nearest", *QUICK, *LANDMARKS]


@pytest.fixture(autouse=True)
def _one_line_each(monkeypatch):
    """Errors as a user sees them, and no pictures of fields: they cost more than everything else."""
    from matplotlib.figure import Figure

    monkeypatch.delenv("SCIML_DEBUG", raising=False)
    monkeypatch.setattr("sciml.mesh_experiments.story.prediction_figure", lambda *_: Figure())


def with_vector(mesh):
    """A displacement with two components, and its first one on cells."""
    x, y = mesh.points.T
    u = np.stack([x * y, y - x], axis=1)
    on_cells = {"triangle": x[mesh.cells["triangle"]].mean(axis=1)}
    return replace(mesh, point_data={"u": u, "w": mesh.point_data["w"]}, cell_data={"strain": on_cells})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parts = [with_vector(part) for part in arches(20, cells=(7, 5))]
    return write_folder(tmp_path_factory.mktemp("files") / "parts", parts)


def run(folder, directory, *options):
    return ["run", "--data", folder, "--scalars", "scalars.csv", *NEAREST, *options, "-o", directory]


def test_a_vector_is_learnt_as_one(folder, tmp_path, capsys):
    """Its components are fields, and turn with parts that are aligned."""
    said, _ = obey(capsys, run(folder, tmp_path / "run", "--field", "u", "--predict-scalars", "peak"))
    assert "fields u_x, u_y; scalars given: load; predicted: peak." in said
    assert "vectors: u_x, u_y." in said
    assert load_mesh_learner(tmp_path / "run").family.vectors == (("u_x", "u_y"),)


def test_components_that_are_stored_one_by_one_are_named_a_vector(tmp_path, capsys):
    parts = [with_vector(part) for part in arches(12, cells=(7, 5))]
    one_by_one = [
        replace(p, point_data={"a": p.point_data["u"][:, 0], "b": p.point_data["u"][:, 1]}, cell_data={}) for p in parts
    ]
    folder = write_folder(tmp_path / "parts", one_by_one)
    said, _ = obey(capsys, run(folder, tmp_path / "run", "--vector", "a,b", "--set", "align=true"))
    assert "vectors: a, b." in said
    assert read_yaml(tmp_path / "run" / "config.yaml")["experiment"]["vectors"] == [["a", "b"]]
    command = run(folder, tmp_path / "other", "--field", "a", "--vector", "a,b")
    assert "expected predicted fields (a)" in complaint(capsys, command)


def test_a_field_on_cells_is_averaged_to_the_points(folder, tmp_path, capsys):
    """In the run, and in the test samples of `sciml evaluate`."""
    said, _ = obey(capsys, run(folder, tmp_path / "run", "--cell-field", "strain"))
    assert "fields strain; " in said
    assert "averaged from cells to points: strain." in said
    said, _ = obey(capsys, ["evaluate", tmp_path / "run", "--data", folder, "--scalars", folder / "scalars.csv"])
    assert "strain" in said
    assert "errors on parts, 20 samples" in said


def test_a_field_on_cells_that_is_asked_for_at_points_names_the_option(folder, tmp_path, capsys):
    line = complaint(capsys, run(folder, tmp_path / "run", "--field", "strain"))
    assert "give it by --cell-field to have it averaged to the points" in line
    assert not (tmp_path / "run").exists()


def test_mirror_images_are_learnt_from(tmp_path, capsys):
    """Twice the samples; the component along the axis changes its sign without being named."""
    centred = [with_vector(p.with_points(p.points - [0.5, 0.0])) for p in arches(12, cells=(7, 5))]
    folder = write_folder(tmp_path / "parts", centred)
    mirror = ["--mirror", "axis=x", "--mirror", "odd=w", "--mirror", "swapped=foot:toe,left:right"]
    obey(capsys, run(folder, tmp_path / "run", "--field", "u", "--field", "w", *mirror))
    learner = load_mesh_learner(tmp_path / "run")
    assert learner.mirror == Mirror(0, ("u_x", "w"), (("foot", "toe"), ("left", "right")))
    assert "20 samples on" in (tmp_path / "run" / "training.txt").read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["axis=w"], "axis=w: expected x, y or z"),
        (["odd=u_x"], "axis=: expected x, y or z"),
        (["axis=x", "odd=q"], "odd=q: expected fields or scalars of u_x, u_y, w, load, peak"),
        (["axis=x", "swapped=foot"], "swapped=foot: expected pairs of names"),
        (["axis=x", "plane=1"], "plane=…: expected axis, odd, swapped"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mirror_that_cannot_be_is_said(folder, tmp_path, capsys, settings, words):
    options = [word for one in settings for word in ("--mirror", one)]
    assert words in complaint(capsys, run(folder, tmp_path / "run", "--field", "u", "--field", "w", *options))


def test_tensors_are_odd_where_one_index_is_the_axis():
    names = ("s_xx", "s_xy", "s_yy", "u_x", "u_y", "load_x")
    assert odd_components(names, 0) == ("s_xy", "u_x")
    assert odd_components(names, 1) == ("s_xy", "u_y")
    assert mirror_of({}, PartFamily(("u",))) is None


def test_of_several_kinds_of_files_one_is_chosen(tmp_path, capsys):
    folder = write_folder(tmp_path / "parts", arches(12, cells=(7, 5)))
    write_mesh(folder / "arch_0.vtk", arch(0.2, 0.0, 1.0))
    line = complaint(capsys, run(folder, tmp_path / "run", "--field", "w"))
    assert "choose one kind by --ending" in line
    said, _ = obey(capsys, run(folder, tmp_path / "run", "--field", "w", "--ending", "vtu"))
    assert "10 samples to learn from" in said


def test_options_of_files_have_no_meaning_for_problems(tmp_path, capsys):
    for option in (["--cell-field", "s"], ["--vector", "u,v"], ["--mirror", "axis=x"], ["--plaid", "split=a"]):
        line = complaint(capsys, ["run", "plate", *option, "-o", tmp_path / "run"])
        assert f"{option[0]} applies to files" in line


def test_possible_fields_are_drawn_and_told(folder, tmp_path, capsys):
    obey(capsys, run(folder, tmp_path / "run", "--field", "w", "--predict-scalars", "peak"))
    write_mesh(tmp_path / "new.vtu", replace(arch(0.2, 0.0, 1.5), point_data={}, global_data={}))
    command = ["predict", tmp_path / "run", "--input", tmp_path / "new.vtu", "--scalars", "load=1.5"]
    said, told = obey(capsys, [*command, "-o", tmp_path / "out.vtu", "--draws", "3"])
    assert "largest w" in said
    assert "and 3 draws of each" in said
    assert "3 draws" in told
    found = read_mesh(tmp_path / "out.vtu").point_data
    assert {"w_mean", "w_std", "w_draw_1", "w_draw_2", "w_draw_3"} <= set(found)
    assert "--draws 0: at least 1" in complaint(capsys, [*command, "-o", tmp_path / "b.vtu", "--draws", "0"])


def cgns_tree(mesh):
    """A mesh as PLAID hands it out: a CGNS tree with fields at vertices and globals."""
    xy = {f"Coordinate{axis}": values for axis, values in zip("XY", mesh.points.T, strict=True)}
    axes = [[name, np.ascontiguousarray(values), [], "DataArray_t"] for name, values in xy.items()]
    triangles = mesh.cells["triangle"]
    nodes = [
        ["ElementRange", np.array([1, len(triangles)]), [], "IndexRange_t"],
        ["ElementConnectivity", triangles.ravel() + 1, [], "DataArray_t"],
    ]
    place = ["GridLocation", np.frombuffer(b"Vertex", dtype="S1"), [], "GridLocation_t"]
    fields = [[name, values, [], "DataArray_t"] for name, values in mesh.point_data.items()]
    inside = [
        ["ZoneType", np.frombuffer(b"Unstructured", dtype="S1"), [], "ZoneType_t"],
        ["GridCoordinates", None, axes, "GridCoordinates_t"],
        ["Elements_TRI_3", np.array([5, 0]), nodes, "Elements_t"],
        ["VertexFields", None, [place, *fields], "FlowSolution_t"],
    ]
    zone = ["Zone", np.array([[len(mesh.points), len(triangles), 0]]), inside, "Zone_t"]
    numbers = [[name, np.array([float(v)]), [], "DataArray_t"] for name, v in mesh.global_data.items()]
    bases = [["Base_2_2", np.array([2, 2]), [zone], "CGNSBase_t"], ["Global", np.array([1, 1]), numbers, "CGNSBase_t"]]
    return ["CGNSTree", None, bases, "CGNSTree_t"]


@pytest.fixture
def plaid(tmp_path, monkeypatch):
    """A PLAID data set of arches, with a stand-in for the package that reads it."""
    data = tmp_path / "arches"
    (data / "data").mkdir(parents=True)
    (data / "infos.yaml").write_text("storage_backend: cgns\n")
    sets = {"train": arches(12, cells=(7, 5)), "test": arches(4, seed=5, cells=(7, 5))}
    for name in sets:
        (data / "data" / name).mkdir()
    samples = {name: [{0.0: cgns_tree(part)} for part in parts] for name, parts in sets.items()}
    output = ["Base_2_2/Zone/VertexFields/w", "Global/peak"]
    storage = ModuleType("plaid.storage")
    storage.definitions = {"one": SimpleNamespace(input_features=["Global/load"], output_features=output)}
    converter = SimpleNamespace(to_plaid=lambda dataset, i: SimpleNamespace(data=dataset[i]))
    storage.init_from_disk = lambda path: (samples, dict.fromkeys(samples, converter))
    storage.load_problem_definitions_from_disk = lambda path: storage.definitions
    monkeypatch.setitem(sys.modules, "plaid", ModuleType("plaid"))
    monkeypatch.setitem(sys.modules, "plaid.storage", storage)
    return data, storage


def test_a_plaid_data_set_is_learnt_by_its_definition(plaid, tmp_path, capsys):
    """Splits that are not for training are tested on; the run is evaluated on the data set, too."""
    command = ["run", "--data", plaid[0], "--learner", "nearest", *QUICK, "-o", tmp_path / "run"]
    said, _ = obey(capsys, command)
    assert "12 samples to learn from; fields w; scalars given: load; predicted: peak." in said
    assert "test set test: 4 samples." in said
    said, _ = obey(capsys, ["evaluate", tmp_path / "run", "--data", plaid[0]])
    assert "errors on arches_test, 4 samples" in said


def test_names_and_choices_of_a_plaid_data_set(plaid, tmp_path, capsys):
    data, storage = plaid
    storage.definitions["other"] = storage.definitions["one"]
    command = ["run", "--data", data, "--learner", "nearest", *QUICK, "-o", tmp_path / "run"]
    assert "choose one by --plaid definition=NAME" in complaint(capsys, command)
    chosen = [*command, "--plaid", "definition=one", "--field", "s", "--predict-scalars", "peak"]
    said, _ = obey(capsys, [*chosen, "--given-scalars", "load,rise"])
    assert "fields s; scalars given: load, rise; predicted: peak." in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--plaid", "split=validation"], "splits are test, train: name the one to learn from by --plaid split=NAME"),
        (["--plaid", "format=zarr"], "unknown key 'format' of PlaidChoice: known are definition, split, base, time"),
        (["--scalars", "scalars.csv"], "which holds its scalars"),
        (["--test-data", "elsewhere"], "its other splits are tested on"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_a_plaid_data_set_has_no_use_for_is_said(plaid, tmp_path, capsys, options, words):
    assert words in complaint(capsys, ["run", "--data", plaid[0], *options, "-o", tmp_path / "run"])
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_of_plaid_is_said(folder, tmp_path, capsys):
    assert "no PLAID data set" in complaint(capsys, run(folder, tmp_path / "run", "--plaid", "split=train"))


def test_a_learner_without_mirrors_is_refused(folder, tmp_path, capsys, monkeypatch):
    class Plain:
        config_type = NearestPartConfig

        def __init__(self, family, config=None, seed=0):
            raise AssertionError("it is refused before it is made")

    monkeypatch.setitem(mesh_learner_types(), "plain", Plain)
    command = ["run", "--data", folder, "--learner", "plain", "--mirror", "axis=x", "-o", tmp_path / "run"]
    assert "plain takes no mirror images; learners that do: mmgp, mmgp-published, nearest" in complaint(capsys, command)
