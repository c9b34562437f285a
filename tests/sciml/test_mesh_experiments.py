"""Parts on meshes from the command line: trained, measured, predicted, and refused in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from arch_problem import Arches
from matplotlib.figure import Figure
from mesh_commands import QUICK, SMALL, complaint, obey, write_folder
from mmgp_parts import arch, arches

from meshes import open_meshes, read_mesh, structured_grid, subset, to_simplices, write_mesh, write_meshes
from pde_benchmarks.registry import mesh_problem_types
from sciml.cli import main
from sciml.experiments.data import Silent
from sciml.learners.mmgp import MMGP
from sciml.learners.mmgp.carrying import Carried
from sciml.mesh_experiments import MeshExperiment, with_meshes
from sciml.mesh_experiments.remarks import with_names
from sciml.mesh_experiments.story import _closeup


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """The problem ``arches``, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mesh_problem_types(), "arches", Arches)
        patch.setenv("SCIML_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("SCIML_DEBUG", raising=False)
        yield


@pytest.fixture(scope="module")
def trained(registered, tmp_path_factory):
    """A finished run of the problem."""
    directory = tmp_path_factory.mktemp("runs") / "arches"
    assert main(["run", "arches", *SMALL, *QUICK, "-o", str(directory)]) == 0
    return directory


@pytest.fixture
def plain(monkeypatch):
    """Figures of fields are empty: they cost more than everything else."""
    monkeypatch.setattr("sciml.mesh_experiments.story.prediction_figure", lambda *_: Figure())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("files") / "parts", arches(25, cells=(8, 6)))


OF_FILES = ["--field", "w", "--predict-scalars", "peak", "--landmarks", "foot,toe,right,left"]
OF_FILES += QUICK


@pytest.fixture(scope="module")
def of_files(registered, folder, tmp_path_factory):
    """A finished run on the folder."""
    directory = tmp_path_factory.mktemp("runs") / "files"
    command = ["run", "--data", str(folder), "--scalars", str(folder / "scalars.csv"), *OF_FILES]
    assert main([*command, "-o", str(directory)]) == 0
    return directory


def test_a_run_of_a_problem_trains_measures_and_reports(trained):
    """What is learnt is better than the mean; metrics are nested and flat; the report shows every field."""
    metrics = json.loads((trained / "metrics.json").read_text())
    held_out = metrics["test"]["held_out"]
    assert held_out["q2.w"] == metrics["test.held_out.q2.w"] > 0.9
    assert held_out["q2.peak"] > 0.9
    assert metrics["parameters"] > 0
    drawn = {path.stem for path in (trained / "figures").iterdir()}
    assert drawn == {"field_w", "field_s", "calibration", "scalars"}
    page = (trained / "report.html").read_text()
    for words in ("mmgp on arches", "data:image/png;base64", "shape modes leave", "95 % intervals cover", "Machine:"):
        assert words in page
    assert "sample 0: " not in page


def test_a_run_is_predicted_with_error_bars(trained, tmp_path, capsys):
    """The file that is written holds means and deviations at the nodes of the new mesh, in their order."""
    new = arch(0.25, 0.05, 1.5, cells=(9, 7), seed=77)
    source, out = tmp_path / "new.vtu", tmp_path / "out.vtu"
    write_mesh(source, replace(new, point_data={}, global_data={}))
    said, _ = obey(capsys, ["predict", trained, "--input", source, "--scalars", "load=1.5", "-o", out])
    assert "familiar shape" in said
    assert "w_mean, w_std, s_mean, s_std" in said
    assert "peak" in said
    found = read_mesh(out)
    np.testing.assert_array_equal(found.points[:, :2], new.points)
    error = found.point_data["w_mean"] - new.point_data["w"]
    assert np.abs(error).max() < 0.1 * np.abs(new.point_data["w"]).max()
    assert (found.point_data["w_std"] > 0).all()
    (own,) = MMGP.load(trained).predict([replace(new, global_data={"load": np.array(1.5)})])
    np.testing.assert_allclose(found.point_data["w_mean"], own.mean["w"].numpy(), rtol=1e-12)


def test_deviations_are_numbers_where_the_mesh_is_extrapolated_to(trained, monkeypatch):
    """Rows 2 e_i − e_j of the way back, as outside of the common mesh, take no variance below zero."""
    to_mesh = Carried.to_mesh
    monkeypatch.setattr(Carried, "to_mesh", lambda self, fields: 2 * to_mesh(self, fields) - fields.amax(-1)[..., None])
    (found,) = MMGP.load(trained).predict([arch(0.25, 0.05, 1.5, cells=(9, 7))])
    assert all(bool((std >= 0).all()) for std in found.std.values())
    assert torch.isfinite(found.samples(3, torch.Generator().manual_seed(0)).fields["w"]).all()


def test_evaluation_and_report_say_the_same_again(trained, tmp_path, capsys, plain):
    before = (trained / "metrics.json").read_text()
    said, _ = obey(capsys, ["evaluate", trained])
    assert "errors on held_out, 6 samples" in said
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "report.html").unlink()
    assert "report:" in obey(capsys, ["report", copy])[0]
    again = json.loads((copy / "metrics.json").read_text())
    assert again["test"] == json.loads(before)["test"]


def test_a_finished_run_is_kept_and_an_unfinished_one_goes_on(trained, tmp_path, capsys, monkeypatch, plain):
    """Training is not repeated once its result is there; another experiment is not put on top of it."""
    copy = shutil.copytree(trained, tmp_path / "copy")
    command = ["run", "arches", *SMALL, *QUICK, "-o", copy]
    assert "a finished run is there" in complaint(capsys, command)
    (copy / "report.html").unlink()
    assert "seed was 0, now 3" in complaint(capsys, [*command, "--seed", "3"])
    with monkeypatch.context() as patch:
        patch.setattr(MMGP, "fit", None)
        said, remarked = obey(capsys, command)
    assert "it goes on" in remarked
    assert "report:" in said
    assert (copy / "learner.json").read_bytes() == (trained / "learner.json").read_bytes()


def test_overwriting_leaves_nothing_of_the_earlier_run(trained, tmp_path, capsys, monkeypatch):
    copy = shutil.copytree(trained, tmp_path / "copy")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(MMGP, "fit", fail)
    assert "out of memory" in complaint(capsys, ["run", "arches", *SMALL, *QUICK, "-o", copy, "--overwrite"])
    assert {path.name for path in copy.iterdir()} == {"config.yaml"}
    for command in (["evaluate", copy], ["report", copy], ["predict", copy, "--input", "a.vtu", "-o", "b.vtu"]):
        assert "its training has not ended" in complaint(capsys, command)
    line = complaint(capsys, ["predict", copy, "--input", "a.vtu", "-o", "b.vtu", "--scalars", "load=1"])
    assert "its training has not ended" in line


def test_the_same_experiment_learns_the_same(trained, tmp_path, capsys, plain):
    """From a run's configuration; also bit by bit."""
    obey(capsys, ["run", "--config", trained / "config.yaml", "-o", tmp_path / "again"])
    weights = [(path / "weights.safetensors").read_bytes() for path in (trained, tmp_path / "again")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", ["learner.json", "weights.safetensors", "reference.h5"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_run_is_one_line(trained, tmp_path, capsys, name, damage):
    copy = shutil.copytree(trained, tmp_path / "copy")
    whole = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage == "truncated":
        (copy / name).write_bytes(whole[: len(whole) // 2])
    write_mesh(tmp_path / "new.vtu", arch(0.2, 0.0, 1.5))
    command = ["predict", copy, "--input", tmp_path / "new.vtu", "--scalars", "load=1.5", "-o", tmp_path / "out.vtu"]
    line = complaint(capsys, command)
    assert str(copy) in line
    assert not (tmp_path / "out.vtu").exists()


def test_files_with_a_table_of_scalars_are_learnt(of_files, folder, capsys, tmp_path):
    metrics = json.loads((of_files / "metrics.json").read_text())
    assert metrics["test.held_out.q2.w"] > 0.9
    assert "rrmse.s" not in metrics["test"]["held_out"]
    report = (of_files / "report.html").read_text()
    assert "mmgp on parts" in report
    assert "sample arch_" in report
    out = tmp_path / "out.vtu"
    table = folder / "scalars.csv"
    said, _ = obey(capsys, ["predict", of_files, "--input", folder / "arch_3.vtu", "--scalars", table, "-o", out])
    assert "w_mean, w_std" in said
    truth = read_mesh(folder / "arch_3.vtu").point_data["w"]
    assert np.abs(read_mesh(out).point_data["w_mean"] - truth).max() < 0.1 * np.abs(truth).max()


def test_a_run_is_evaluated_on_another_folder(of_files, tmp_path, capsys):
    """Scalars are found by their file's name in the folder, too."""
    other = write_folder(tmp_path / "other", arches(3, seed=9, cells=(7, 6)))
    said, _ = obey(capsys, ["evaluate", of_files, "--data", other, "--scalars", "scalars.csv"])
    assert "errors on other, 3 samples" in said
    assert "--scalars applies to files" in complaint(capsys, ["evaluate", of_files, "--scalars", "scalars.csv"])
    (other / "scalars.csv").unlink()
    assert "no scalar 'load'" in complaint(capsys, ["evaluate", of_files, "--data", other])


def test_the_folder_alone_is_recognised_and_its_scalars_are_missed(folder, tmp_path, capsys, registered, plain):
    """Without --field and --scalars all point fields are learnt; numbers in the meshes that have no role are named."""
    write_meshes(tmp_path / "set.h5", arches(12, cells=(7, 5)))
    command = ["run", "--data", tmp_path / "set.h5", "--set", "refinements=0", "--set", "folds=3"]
    said, _ = obey(capsys, [*command, "-o", tmp_path / "run"])
    assert "fields w, s; scalars given: none" in said
    assert "not used: load, peak, rise in the meshes' global data; --given-scalars names" in said
    told = with_meshes(MeshExperiment(data=str(tmp_path / "set.h5"), inputs=["load"]), Silent())
    assert told.family.input_scalars == ("load",)
    assert any("not used: peak, rise" in sentence for sentence in told.found)


def test_splits_in_sub_folders_are_learnt_and_tested_on(tmp_path, capsys, registered, plain):
    data = tmp_path / "sets"
    write_folder(data / "train", arches(15, cells=(8, 6)))
    write_folder(data / "near", arches(3, seed=1, cells=(8, 6)))
    write_folder(data / "test", arches(4, seed=2, cells=(8, 6)))
    said, _ = obey(capsys, ["run", "--data", data, "--scalars", "scalars.csv", *OF_FILES, "-o", tmp_path / "run"])
    assert "test set near: 3 samples. test set test: 4 samples." in said
    assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]) == {"near", "test"}
    assert "Test set test" in (tmp_path / "run" / "report.html").read_text()


def test_faulty_files_are_all_named_before_the_training(tmp_path, capsys, registered):
    parts = arches(12, cells=(7, 5))
    parts[3] = replace(parts[3], point_data={"s": parts[3].point_data["s"]})
    parts[7] = replace(parts[7], point_data={"w": np.full_like(parts[7].point_data["w"], np.nan)})
    data = write_folder(tmp_path / "parts", parts)
    line = complaint(capsys, ["run", "--data", data, "--scalars", "scalars.csv", *OF_FILES, "-o", tmp_path / "run"])
    assert "2 of" in line
    assert "'arch_3'" in line
    assert "'arch_7'" in line
    assert not (tmp_path / "run").exists()


def test_a_training_sample_that_is_none_of_the_family_is_named_by_its_file(tmp_path, capsys, registered):
    """Every fifth file is tested on, so that numbers of training samples are not those of files."""
    parts = arches(12, cells=(7, 5))
    holed = next(i for i in range(12) if i > 6 and (i + 1) % 5)
    parts[holed] = with_hole(parts[holed])
    data = write_folder(tmp_path / "parts", parts)
    line = complaint(capsys, ["run", "--data", data, "--scalars", "scalars.csv", *OF_FILES, "-o", tmp_path / "run"])
    assert f"sample arch_{holed}:" in line
    assert "2 boundary loops" in line


def with_hole(mesh):
    """Without the triangles at one inner node."""
    centre = int(np.argmin(np.linalg.norm(mesh.points - mesh.points.mean(axis=0), axis=1)))
    kept = ~(mesh.cells["triangle"] == centre).any(axis=1)
    holed, _ = subset(mesh, {"triangle": np.flatnonzero(kept)})
    return holed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_hole, ["2 boundary loops"]),
        (lambda m: replace(m, node_sets={n: s for n, s in m.node_sets.items() if n != "toe"}), ["toe"]),
        (lambda m: to_simplices(structured_grid(*3 * [np.linspace(0, 1, 3)])), ["3-D space", "2-D space"]),
    ],
    ids=["hole", "landmark", "solid"],
)
def test_a_mesh_of_another_family_has_no_prediction(trained, tmp_path, capsys, change, words):
    source, out = tmp_path / "other.vtu", tmp_path / "out.vtu"
    write_mesh(source, change(arch(0.2, 0.0, 1.5)))
    line = complaint(capsys, ["predict", trained, "--input", source, "--scalars", "load=1.5", "-o", out])
    assert str(source) in line
    assert all(word in line for word in words), line
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["new.vtu", "no scalar load", "--scalars 'load=…'"]),
        (["--scalars", "force=2"], ["'force=2'", "no such scalar", "given load"]),
        (["--scalars", "load=heavy"], ["'load=heavy'", "name=number"]),
        (["--scalars", "load=1,load=2"], ["'load'", "twice"]),
        (["--scalars", "load=nan"], ["load", "nan"]),
        (["--scalars", "nowhere.csv"], ["nowhere.csv: no such file"]),
        (["--scalars", "load=1.5", "--certify", "1e-8"], ["--certify has no meaning for meshes"]),
        (["--scalars", "load=1.5", "--lower", "0"], ["--lower has no meaning for meshes"]),
        (["--scalars", "load=1.5", "--alignment", "cell"], ["--alignment has no meaning for meshes"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_prediction_cannot_use_is_said(trained, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    write_mesh("new.vtu", replace(arch(0.2, 0.0, 1.5), global_data={}))
    line = complaint(capsys, ["predict", trained, "--input", "new.vtu", "-o", "out.vtu", *options])
    assert all(word in line for word in words), line


def test_files_that_are_no_meshes_are_one_line(trained, tmp_path, capsys):
    np.savez(tmp_path / "pairs.npz", x=np.ones(3))
    (tmp_path / "empty.vtu").write_text("")
    command = ["predict", trained, "--scalars", "load=1.5", "-o", tmp_path / "out.vtu", "--input"]
    assert "pairs.npz" in complaint(capsys, [*command, tmp_path / "pairs.npz"])
    assert "empty.vtu" in complaint(capsys, [*command, tmp_path / "empty.vtu"])
    assert "none.vtu" in complaint(capsys, [*command, tmp_path / "none.vtu"])
    write_mesh(tmp_path / "new.vtu", arch(0.2, 0.0, 1.5))
    odd = [*command[:-2], tmp_path / "out.npz", "--input", tmp_path / "new.vtu"]
    assert "out.npz" in complaint(capsys, odd)
    same = [*command[:-2], tmp_path / "new.vtu", "--input", tmp_path / "new.vtu"]
    assert "would replace the input" in complaint(capsys, same)


def test_an_odd_case_is_remarked_and_predicted(trained, tmp_path, capsys):
    write_mesh(tmp_path / "new.vtu", arch(0.2, 0.0, 1.5))
    command = ["predict", trained, "--input", tmp_path / "new.vtu", "-o", tmp_path / "out"]
    _, remarked = obey(capsys, [*command, "--scalars", "load=7"])
    assert "note: Outside the training range: load = 7" in remarked
    assert (tmp_path / "out.vtu").is_file()
    write_mesh(tmp_path / "new.vtu", arch(2.5, 0.0, 1.5))
    said, remarked = obey(capsys, [*command, "--scalars", "load=1.5"])
    assert "foreign shape" in said
    assert "standard deviations are multiplied by" in remarked
    assert "replaced" in remarked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "arches", "--budget", "5s"], ["--budget has no meaning for meshes"]),
        (["run", "arches", "--steps", "5"], ["--steps has no meaning for meshes"]),
        (["run", "arches", "--baselines", "fno"], ["--baselines has no meaning for meshes"]),
        (["run", "arches", "--training-set", "batch_size=4"], ["--training-set has no meaning for meshes"]),
        (["run", "arches", "--field", "w"], ["--field applies to files"]),
        (["run", "arches", "--given-scalars", "w"], ["--given-scalars applies to files"]),
        (["run", "arches", "--data", "x"], ["not both"]),
        (["run", "arches", "--learner", "mgno"], ["unknown learner of meshes 'mgno'", "mmgp"]),
        (["run", "darcy", "--learner", "mmgp"], ["unknown problem on meshes 'darcy'", "arches"]),
        (["run", "arches", "--problem-set", "size=1"], ["unknown key 'size'", "cells"]),
        (["run", "arches", "--set", "modes=3"], ["unknown key 'modes'", "field_modes"]),
        (["run", "arches", "--set", "folds=1"], ["folds = 1"]),
        (["run", "arches", "--set", "morphing=melt"], ["'melt'", "harmonic"]),
        (["run", "arches", "--samples", "0"], ["samples = 0"]),
        (["run", "--data", "nowhere", "--field", "w"], ["nowhere: no such folder or file"]),
        (["run", "--data", "parts", "--workers", "2"], ["--workers applies to a problem"]),
        (["run", "--data", "parts", "--field", "stress"], ["parts", "'stress'", "'w'"]),
        (["run", "--data", "parts", "--scalars", "none.csv"], ["none.csv: no such file"]),
        (["run", "--data", "parts", "--scalars", "short.csv"], ["no row for 1 of", "arch_24.vtu"]),
        (["run", "--data", "parts", "--scalars", "text.csv"], ["row 'arch_2'", "'heavy' is not a finite number"]),
        (["run", "--data", "parts", "--scalars", "all.csv", "--predict-scalars", "lift"], ["'lift'", "all.csv"]),
        (["run", "--data", "parts", "--landmarks", "nose"], ["'nose'"]),
        (["run", "--data", "few"], ["4 samples, expected at least 10"]),
        (["run", "--data", "parts", "--test-data", "few", "--test-data", "few"], ["one folder is expected"]),
        (["run", "--data", "pairs.npz", "--field", "w"], ["pairs.npz"]),
        (["generate", "arches", "-o", "set.h5", "--count", "0"], ["0 samples"]),
        (["generate", "arches", "-o", "set.vtu"], ["must end in .h5"]),
        (["generate", "arches", "-o", "set.h5", "--set", "size=1"], ["unknown key 'size'"]),
        (["generate", "darcy", "-o", "set.h5", "--workers", "2"], ["--workers 2", "on grids"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(registered, folder, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "parts")
    lines = (folder / "scalars.csv").read_text().splitlines()
    (tmp_path / "all.csv").write_text("\n".join(lines))
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]))
    (tmp_path / "text.csv").write_text("\n".join([*lines[:3], "arch_2.vtu,heavy,1", *lines[4:]]))
    write_folder(tmp_path / "few", arches(4, cells=(6, 4)))
    np.savez("pairs.npz", x=np.ones(3))
    line = complaint(capsys, arguments)
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob("runs/*/learner.json"))


def test_a_run_on_grids_has_no_use_for_a_mesh(tiny, tmp_path, capsys):
    quick = ["--steps", "2", "--samples", "8", "--test-samples", "4", "--baselines", "none"]
    obey(capsys, ["run", "doubling", "--learner", "factor", *quick, "-o", tmp_path / "run"])
    write_mesh(tmp_path / "new.vtu", arch(0.2, 0.0, 1.5))
    command = ["predict", tmp_path / "run", "--input", tmp_path / "new.vtu", "-o"]
    assert "new.vtu" in complaint(capsys, [*command, tmp_path / "out.npz"])
    assert "fields on grids" in complaint(capsys, [*command, tmp_path / "out.npz", "--scalars", "load=1"])
    assert "fields on grids" in complaint(capsys, ["evaluate", tmp_path / "run", "--scalars", "s.csv"])


def test_a_set_is_generated_and_learnt_from(registered, tmp_path, capsys):
    """`sciml generate` writes what `sciml run --data` reads."""
    path = tmp_path / "set.h5"
    said, _ = obey(capsys, ["generate", "arches", "--samples", "12", "--workers", "1", "--set", "cells=5", "-o", path])
    assert "fields: w (mm), s (mm)" in said
    assert "scalars given: load (N)" in said
    assert "12 samples of" in said
    assert len(open_meshes(path)) == 12
    data = with_meshes(MeshExperiment(data=str(path), inputs=["load"], outputs=["peak"]), Silent())
    assert (len(data.train), len(data.tests["held_out"])) == (10, 2)
    assert data.units == {"load": "N", "w": "mm", "s": "mm", "peak": "MPa"}


def test_only_the_surroundings_of_a_small_body_are_drawn():
    """A mesh that is fine near the origin alone is seen there; one of even density as a whole."""
    x = np.sinh(np.linspace(-8, 8, 41))
    left, right, bottom, top = _closeup(structured_grid(x, x))
    assert left == pytest.approx(-1.2 * np.sinh(0.8 * 8))
    assert (right, top) == pytest.approx((-left, -bottom))
    assert right - left == pytest.approx(top - bottom)
    assert _closeup(structured_grid(np.linspace(0, 4, 9), np.linspace(0, 1, 5))) is None


def test_what_is_installed_is_listed(registered, capsys):
    said, _ = obey(capsys, ["list"])
    assert all(word in said for word in ("mmgp", "morphing=auto", "arches", "cells=6", "plate", "aerofoil"))


def test_numbers_of_samples_become_names_of_files(folder):
    data = with_meshes(MeshExperiment(data=str(folder), fields=["w"]), Silent()).train
    assert with_names("sample 4: bad", data) == "sample arch_5: bad"
    assert with_names("samples 0, 3, 4, …: bad", data) == "samples arch_0, arch_3, arch_5, …: bad"
    assert with_names("20 samples, 3 shape modes", data) == "20 samples, 3 shape modes"
    assert with_names("sample 4: bad", arches(5)) == "sample 4: bad"
