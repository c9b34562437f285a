"""The command line does what it says, and says in one line why it cannot."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from sciml.cli import main
from sciml.commands.values import names, seconds, settings
from sciml.errors import ConfigurationError
from sciml.learner import learner_types
from sciml.learners.baselines.fno import _import_failure
from sciml.training import Trainer

QUICK = ["--steps", "60", "--samples", "32", "--test-samples", "8", "--baselines", "twin"]


def run_quickly(directory, *more):
    return main(["run", "doubling", "--learner", "factor", *QUICK, "-o", str(directory), *more])


def complaint(capsys, arguments, code=2):
    """The one line that a failing command writes."""
    assert main([str(argument) for argument in arguments]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    spoken = [line for line in lines if line.startswith("sciml:")]
    assert len(spoken) == 1
    assert "Traceback" not in "".join(lines)
    return spoken[0]


def pairs(path, count=24, size=8, factor=2.0, seed=0):
    x = np.random.default_rng(seed).random((count, 1, size, size)).astype(np.float32) + 0.5
    np.savez(path, x=x, y=factor * x)
    return path


def test_a_run_trains_measures_and_reports(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert "report:" in printed.out
    assert "factor" in printed.out
    assert "twin" in printed.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test.held_out.relative_l2"] == metrics["test"]["held_out"]["relative_l2"] < 0.05
    assert metrics["test.double_resolution.relative_l2"] < 0.05
    assert metrics["parameters"] == 1
    assert metrics["train_seconds"] > 0
    assert metrics["baselines"]["twin"]["test.held_out.relative_l2"] < 0.05
    assert any("mean" in name for name in metrics["without_learning"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "twin" in page
    assert "data:image/png;base64" in page
    assert {p.name for p in (tmp_path / "run" / "figures").iterdir()} == {"training.png", "errors.png", "fields.png"}

    assert "a finished run is there" in complaint(
        capsys, ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path / "run"]
    )
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "relative_l2" in capsys.readouterr().out
    (tmp_path / "run" / "report.html").unlink()
    assert main(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").read_text()
    assert "report:" in capsys.readouterr().out


def test_an_interrupted_run_goes_on_by_itself(tiny, tmp_path, capsys, monkeypatch):
    before = Trainer.__init__

    def impatient(self, config, directory, progress):
        def interrupt(state):
            if state.step == 20:
                os.kill(os.getpid(), signal.SIGINT)

        before(self, config, directory, interrupt)

    monkeypatch.setattr(Trainer, "__init__", impatient)
    line = complaint(capsys, ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path / "run"], code=130)
    assert "the same command goes on from" in line
    monkeypatch.setattr(Trainer, "__init__", before)
    assert run_quickly(tmp_path / "run") == 0
    assert "it goes on" in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("**/checkpoint*"))
    assert run_quickly(tmp_path / "straight") == 0
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "straight")]
    assert weights[0] == weights[1]


def test_a_run_is_repeated_from_its_configuration(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "first", "--seed", "5", "--set", "start=0.5") == 0
    config = str(tmp_path / "first" / "config.yaml")
    capsys.readouterr()
    assert "--input-name applies to files" in complaint(capsys, ["run", "--config", config, "--input-name", "x"])
    assert main(["run", "--config", config, "-o", str(tmp_path / "second")]) == 0
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second


def test_recorded_data_is_described_and_learned(tiny, tmp_path, capsys):
    train, near, far = (
        pairs(tmp_path / "train.npz"),
        pairs(tmp_path / "near.npz", 6),
        pairs(tmp_path / "far.npz", 5, 16),
    )
    command = ["run", "--data", train, "--test-data", near, "--test-data", far, "--learner", "factor", "--steps", "80"]
    command += ["--budget", "9s"]
    assert main([*map(str, command), "-o", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert "--budget is not used" in told.err
    printed = " ".join(told.out.split())
    assert "far L²" in printed
    drawn = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    assert {"fields", "errors", "fields_far", "errors_far"} <= drawn
    assert "train: input 'x', shape (24, 1, 8, 8), as float32, from 0.5" in printed
    assert "grid points:" in printed
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test.near.relative_l2"] < 0.05
    assert metrics["test.far.relative_l2"] < 0.05
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(near)]) == 0


def test_the_names_of_training_are_looked_for_first(tiny, tmp_path, capsys):
    x = np.random.default_rng(0).integers(1, 5, (24, 1, 8, 8))
    np.savez(tmp_path / "d.npz", source=x, u=2 * x, other=x)
    run, data, out = tmp_path / "run", tmp_path / "d.npz", tmp_path / "o.npz"
    command = ["run", "--data", data, "--test-data", data, "--learner", "factor", "--steps", "2", "-o", run]
    assert "--input-name and --output-name" in complaint(capsys, command)
    assert not run.exists()
    assert main([*map(str, command), "--input-name", "source", "--output-name", "u"]) == 0
    assert "the training file itself" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--data", str(data)]) == 0
    assert main(["predict", str(run), "--input", str(data), "-o", str(out)]) == 0
    assert "input 'source', shape (24, 1, 8, 8), as float32" in capsys.readouterr().out
    assert "needs the equation" in complaint(capsys, ["predict", run, "--input", data, "-o", out, "--certify", "1e-8"])
    np.savez(tmp_path / "e.npz", p=x, q=x)
    line = complaint(capsys, ["predict", run, "--input", tmp_path / "e.npz", "-o", out])
    assert "name it with --input-name." in line


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5", ".pt", ".mat"])
def test_predictions_come_in_the_format_of_the_input(tiny, tmp_path, ending):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    source = pairs(tmp_path / "in.npz", 3)
    output = tmp_path / f"out{ending}"
    assert main(["predict", str(tmp_path / "run"), "--input", str(source), "--input-name", "x", "-o", str(output)]) == 0
    match ending:
        case ".npz":
            found = np.load(output)["answer"]
        case ".npy":
            found = np.load(output)
        case ".h5":
            with h5py.File(output) as file:
                found = file["answer"][()]
        case ".pt":
            found = torch.load(output, weights_only=True)["answer"].numpy()
        case _:
            from scipy.io import loadmat

            found = loadmat(output)["answer"]
    np.testing.assert_allclose(found, 2 * np.load(source)["x"], rtol=0.05)


def test_without_an_ending_the_output_takes_the_inputs(tiny, tmp_path):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    source = pairs(tmp_path / "in.npz", 3)
    assert main(["predict", str(tmp_path / "run"), "--input", str(source), "-o", str(tmp_path / "out")]) == 0
    assert np.load(tmp_path / "out.npz")["answer"].shape == (3, 1, 8, 8)


def test_an_answer_replaces_an_earlier_one_but_never_its_input(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    source, output = pairs(tmp_path / "in.npz", 3), tmp_path / "out.npz"
    before = source.read_bytes()
    (tmp_path / "same.npz").hardlink_to(source)
    capsys.readouterr()
    for name in (source, tmp_path / "same.npz", tmp_path / "in"):
        line = complaint(capsys, ["predict", tmp_path / "run", "--input", source, "-o", name])
        assert f"would replace the input {source}" in line
    assert source.read_bytes() == before
    command = ["predict", str(tmp_path / "run"), "--input", str(source), "-o", str(output)]
    assert main(command) == 0
    assert "replaced" not in capsys.readouterr().err
    assert main(command) == 0
    assert f"replaced {output}" in capsys.readouterr().err


def test_the_only_array_of_a_file_is_no_input_under_the_name_of_an_output(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    np.savez(tmp_path / "in.npz", answer=np.ones((3, 1, 8, 8), dtype=np.float32))
    capsys.readouterr()
    command = ["predict", str(tmp_path / "run"), "--input", str(tmp_path / "in.npz"), "-o", str(tmp_path / "out.npz")]
    assert "'answer' is an output of doubling; the array source is expected" in complaint(capsys, command)
    assert main([*command, "--input-name", "answer"]) == 0


def test_a_comparison_replaces_neither_a_run_nor_a_larger_comparison(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    before = (tmp_path / "run" / "report.html").read_bytes()
    command = ["compare", "doubling", "--steps", "4", "--samples", "8", "--test-samples", "4", "--learners"]
    capsys.readouterr()
    line = complaint(capsys, [*command, "factor", "-o", tmp_path / "run"])
    assert "a run is there" in line
    assert "choose another directory by -o" in line
    assert (tmp_path / "run" / "report.html").read_bytes() == before
    command += ["factor,twin", "-o", str(tmp_path / "c"), "--seeds"]
    assert main([*command, "2"]) == 0
    capsys.readouterr()
    assert "(with seed 1): give --overwrite" in complaint(capsys, [*command, "1"])
    fewer = [word.removesuffix(",twin") for word in command]
    assert "(with twin): give --overwrite" in complaint(capsys, [*fewer, "2"])
    assert main([*command, "3"]) == 0
    assert main([*command, "1", "--overwrite"]) == 0


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """A run on Darcy flow, trained for two steps on 16×16 cells."""
    folder = tmp_path_factory.mktemp("flow")
    quick = ["--steps", "2", "--samples", "8", "--test-samples", "4", "--baselines", "none"]
    small = ["--problem-set", "resolution=16", "--set", "levels=11 20"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(folder / "cache"))
        assert main(["run", "darcy", *quick, *small, "-o", str(folder / "run")]) == 0
    return folder / "run"


def test_a_certificate_polishes_the_prediction(flow, tmp_path, capsys):
    metrics = json.loads((flow / "metrics.json").read_text())
    assert metrics["estimate_over_error.smallest"] <= metrics["estimate_over_error.median"]
    assert 0.2 < metrics["estimate_over_error.median"] < 2
    assert (flow / "figures" / "certificate.png").exists()
    assert main(["generate", "darcy", "--count", "2", "--set", "resolution=16", "-o", str(tmp_path / "a.h5")]) == 0
    command = ["predict", str(flow), "--input", str(tmp_path / "a.h5"), "-o", str(tmp_path / "u.npz")]
    assert main([*command, "--certify", "1e-8"]) == 0
    assert "iterations" in capsys.readouterr().out
    answer = np.load(tmp_path / "u.npz")
    with h5py.File(tmp_path / "a.h5") as file:
        truth = file["outputs/solution"][()]
    assert answer["polished_residual"].max() <= 1e-8
    assert np.linalg.norm(answer["solution"] - truth) <= 1e-6 * np.linalg.norm(truth)
    for rtol in ("2", "1e-20"):
        assert "between 1.1e-14 and 1" in complaint(capsys, [*command, "--certify", rtol])
    assert "holds coefficient" in complaint(capsys, [*command, "--input-name", "nosuch"])
    lone = [*command[:-1], tmp_path / "u.npy", "--certify", "1e-8"]
    assert ".npy holds one array" in complaint(capsys, lone)
    assert "must end in one of .npz" in complaint(capsys, [*command[:-1], tmp_path / "u.txt"])


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (np.zeros((2, 1, 16, 16)), ["bad.npy", "'coefficient' must be positive", "sample 0 has the value 0"]),
        (np.where(np.arange(512).reshape(2, 1, 16, 16) == 300, -1.0, 3.0), ["sample 1 has the value -1", "1 of 2"]),
        (np.full((1, 1, 33, 33), 3.0), ["bad.npy: grid of 33 points", "32 and 36: resample the input"]),
        (np.full((1, 1, 18, 18), 3.0), ["bad.npy: grid of 18 points", "16 and 20: resample the input"]),
        (np.full((16, 16), 3.0), ["expected (samples, 1, nx, ny)", "add an axis for the samples"]),
    ],
    ids=["zero", "negative", "odd", "levels", "single"],
)
@pytest.mark.parametrize("certify", [[], ["--certify", "1e-6"]], ids=["plain", "certified"])
def test_an_input_that_the_equation_or_the_grid_forbids_has_no_answer(flow, tmp_path, capsys, field, words, certify):
    np.save(tmp_path / "bad.npy", field)
    line = complaint(capsys, ["predict", flow, "--input", tmp_path / "bad.npy", "-o", tmp_path / "u.npz", *certify])
    assert all(word in line for word in words), line
    assert not (tmp_path / "u.npz").exists()


def test_messages_about_a_file_of_pairs_name_it(flow, tmp_path, capsys):
    a = np.full((2, 1, 16, 16), 3.0)
    for name, field in (("nan", np.where(a == a[1], np.nan, a)), ("zero", 0 * a), ("odd", np.full((2, 1, 33, 33), 3))):
        path = tmp_path / f"{name}.npz"
        np.savez(path, x=field, y=np.ones(field.shape))
        assert f"sciml: {path}: " in complaint(capsys, ["evaluate", flow, "--data", path])
    assert "resample the input" in complaint(capsys, ["evaluate", flow, "--data", path])


def test_only_training_remarks_that_nothing_can_be_learned(tiny, tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=np.ones((24, 1, 8, 8)), y=np.full((24, 1, 8, 8), 2.0))
    run, data = str(tmp_path / "run"), str(tmp_path / "d.npz")
    command = ["run", "--data", data, "--test-data", data, "--learner", "factor", "--steps", "2", "-o", run]
    assert main(command) == 0
    assert "nothing can be learned from the input 'x'" in capsys.readouterr().out
    assert main(["evaluate", run, "--data", data]) == 0
    printed = capsys.readouterr().out
    assert "input 'x' is 1 everywhere." in printed
    assert "learned from" not in printed


def test_a_row_that_is_left_out_is_explained(flow, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    quick = ["--steps", "2", "--samples", "8", "--test-samples", "4", "--baselines", "none"]
    small = ["--problem-set", "resolution=18", "--set", "levels=11", "--set", "fit=pad"]
    assert main(["run", "darcy", *quick, *small, "-o", str(tmp_path / "run")]) == 0
    sentence = "No row of the coarse grid (n/4): 18×18 is no multiple of 4."
    assert sentence in capsys.readouterr().err
    assert sentence in (tmp_path / "run" / "report.html").read_text()
    assert "No row" not in (flow / "report.html").read_text()


def test_a_learner_is_no_baseline_of_itself(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path / "run", "--baselines", "factor,twin,twin") == 0
    assert "named twice, is trained once only" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run" / "baselines").iterdir()] == ["twin"]


def test_a_prediction_that_is_not_finite_is_no_answer(tiny, tmp_path, capsys, monkeypatch):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    source = pairs(tmp_path / "in.npz", 3)
    monkeypatch.setattr(torch.nn.Conv2d, "forward", lambda self, x: torch.where(x == x[1], torch.nan, x))
    capsys.readouterr()
    line = complaint(capsys, ["predict", tmp_path / "run", "--input", source, "-o", tmp_path / "out.npz"])
    assert "'answer' is NaN or infinite in 1 of 3 samples (first: 1)" in line
    assert not (tmp_path / "out.npz").exists()


def test_a_comparison_has_every_learner_and_seed_and_goes_on(tiny, tmp_path, capsys):
    command = ["compare", "doubling", "--learners", "factor,twin", "--seeds", "2", "--steps", "40"]
    command += ["--samples", "16", "--test-samples", "4", "-o", str(tmp_path / "c")]
    assert main(command) == 0
    result = json.loads((tmp_path / "c" / "comparison.json").read_text())
    entry = result["learners"]["twin"]["test.held_out.relative_l2"]
    assert entry["value"] == pytest.approx(np.mean(entry["values"]))
    assert len(entry["values"]) == len(result["seeds"]) == 2
    assert entry["spread"] is not None
    assert (tmp_path / "c" / "report.html").exists()
    assert {p.name for p in (tmp_path / "c" / "figures").iterdir()} == {"seconds.png", "parameters.png"}
    page = (tmp_path / "c" / "report.html").read_text()
    for words in ("is the most accurate learner here", "Machine:", "Versions: python", "<td>test_samples</td>"):
        assert words in page
    printed = " ".join(capsys.readouterr().out.split())
    assert "2× finer L²" in printed
    assert re.search(r"│ twin │ \S+ ± \S+ │ \S+ ± \S+ │ 1 │", printed)
    before = (tmp_path / "c" / "twin-seed1" / "weights.safetensors").stat().st_mtime_ns
    assert main(command) == 0
    assert (tmp_path / "c" / "twin-seed1" / "weights.safetensors").stat().st_mtime_ns == before
    other = [*command, "--steps", "20"]
    line = complaint(capsys, other)
    assert "a finished comparison of another kind is there (steps differs: steps was 40, now 20)" in line
    (tmp_path / "c" / "comparison.json").unlink()
    assert "a trained run of another experiment" in complaint(capsys, other)
    assert main([*other, "--overwrite"]) == 0
    assert (tmp_path / "c" / "twin-seed1" / "weights.safetensors").stat().st_mtime_ns > before
    assert f"its runs are {tmp_path / 'c' / 'factor-seed0'}" in complaint(capsys, ["evaluate", tmp_path / "c"])


def test_a_learner_that_is_not_installed_is_known_before_anything_is_trained(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(learner_types()["twin"], "missing", lambda: "twin needs pip install twin.")
    compare = ["compare", "doubling", "--learners", "factor,twin", "-o", tmp_path / "c"]
    for command in (compare, ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path / "r"]):
        assert complaint(capsys, command) == "sciml: twin needs pip install twin."
    assert list(tmp_path.iterdir()) == []
    assert main(["list", "learners"]) == 0
    assert "not installed: twin needs pip install twin." in " ".join(capsys.readouterr().out.split())


def test_a_package_that_cannot_be_imported_counts_as_missing(tiny, tmp_path, capsys, monkeypatch):
    pytest.importorskip("neuralop")
    _import_failure.cache_clear()
    monkeypatch.setitem(sys.modules, "neuralop.models", None)
    try:
        assert main(["list", "learners"]) == 0
        assert "ModuleNotFoundError" in capsys.readouterr().out
        line = complaint(capsys, ["run", "darcy", "--learner", "fno", "-o", tmp_path / "r"])
        assert "cannot be imported" in line
        assert "pip install" in line
        assert not (tmp_path / "r").exists()
    finally:
        _import_failure.cache_clear()


def test_more_modes_than_the_grid_holds_are_refused(tiny, tmp_path, capsys):
    pytest.importorskip("neuralop")
    for modes in ("33", "500"):
        command = ["run", "darcy", "--learner", "fno", "--set", f"modes={modes}", "-o", tmp_path / "r"]
        assert "modes=32 is the largest" in complaint(capsys, command)


def test_what_is_installed_is_listed(tiny, capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("factor", "start=1.0", "doubling", "resolution=8", "mgno", "darcy"))
    assert main(["list", "problems"]) == 0
    assert "twin" not in capsys.readouterr().out


def test_generation_writes_one_file(tiny, tmp_path, capsys):
    command = [
        "generate",
        "doubling",
        "--count",
        "5",
        "--seed",
        "3",
        "-o",
        str(tmp_path / "d.h5"),
        "--set",
        "resolution=4",
    ]
    assert main(command) == 0
    assert "5 samples" in capsys.readouterr().out
    with h5py.File(tmp_path / "d.h5") as file:
        assert file["outputs/answer"].shape == (5, 1, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "dracy"], ["unknown problem 'dracy'", "doubling"]),
        (["run", "doubling", "--learner", "mango"], ["unknown learner 'mango'", "factor", "twin"]),
        (["run", "doubling", "--learner", "factor", "--set", "begin=1"], ["unknown key 'begin'", "start"]),
        (["run", "doubling", "--learner", "factor", "--set", "start=red"], ["FactorConfig.start", "red"]),
        (["run", "doubling", "--learner", "factor", "--problem-set", "size=1"], ["unknown key 'size'", "resolution"]),
        (
            ["run", "doubling", "--learner", "factor", "--training-set", "batch=4"],
            ["unknown key 'batch'", "batch_size"],
        ),
        (["run", "doubling", "--learner", "factor", "--training-set", "batch_size=0"], ["batch_size = 0"]),
        (["run", "doubling", "--learner", "factor", "--baselines", "nobody"], ["unknown learner 'nobody'"]),
        (["run", "doubling", "--budget", "soon"], ["budget 'soon'", "60s"]),
        (["run", "doubling", "--samples", "0"], ["samples = 0"]),
        (["run"], ["name a problem"]),
        (["run", "--data", "a.npz"], ["--test-data"]),
        (["run", "doubling", "--config", "none.yaml"], ["none.yaml: no such file"]),
        (["run", "doubling", "--fast"], ["No such option"]),
        (["rum"], ["No such command 'rum'"]),
        (["run", "doubling", "--steps", "many"], ["'--steps'", "integer", "sciml run --help"]),
        (["compare", "doubling", "--learners", "factor,nobody"], ["unknown learner 'nobody'"]),
        (["evaluate", "nowhere"], ["nowhere: no such run directory"]),
        (["report", "nowhere"], ["nowhere: no such run directory"]),
        (["predict", "nowhere", "--input", "a.npz", "-o", "b.npz"], ["nowhere: no such run directory"]),
        (["generate", "doubling", "--count", "0", "-o", "x.h5"], ["0 samples"]),
        (["generate", "doubling", "-o", "x.npz"], ["x.npz", "must end in .h5"]),
        (["run", "darcy", "--set", "channels=-3"], ["channels = -3", "at least 1"]),
        (["run", "darcy", "--set", "layers=0"], ["layers = 0", "at least 1"]),
        (["run", "darcy", "--set", "h1_weight=.nan"], ["h1_weight = nan"]),
        (["run", "darcy", "--problem-set", "resolution=50"], ["grid of 50 points", "48 and 56"]),
        (["run", "darcy", "--problem-set", "resolution=63"], ["grid of 63 points", "56 and 64"]),
        (["evaluate", "nowhere", "--alignment", "center"], ["'center'", "'cell', 'vertex', 'interior', 'left'"]),
        (["run", "doubling", "--test-data", "a.npz"], ["--test-data applies to files", "--data"]),
        (["run", "doubling", "--input-name", "a"], ["--input-name applies to files", "--data"]),
        (["run", "doubling", "--alignment", "cell"], ["--alignment applies to files", "--data"]),
        (["run", "--data", "a", "--test-data", "b", "--samples", "3"], ["--samples applies to a problem"]),
        (["run", "--data", "a", "--test-data", "b", "--problem-set", "n=3"], ["--problem-set applies to a problem"]),
        (["evaluate", "nowhere", "--input-name", "x"], ["--input-name applies to files", "--data"]),
        (["run", "darcy", "--learner", "unet", "--set", "depth=9"], ["depth = 9", "64×64", "depth=6 is the largest"]),
        (["run", "darcy", "--learner", "unet", "--set", "depth=0"], ["depth = 0", "at least 1"]),
        (["run", "darcy", "--set", "channels=1000000"], ["GiB to be trained", "fewer channels"]),
        (["run", "darcy", "--set", "levels=7"], ["V-cycle level '7'", "expected two digits"]),
        (["run", "doubling", "--learner", "factor", "--seed", "-1"], ["seed = -1", "at least 0"]),
        (["generate", "doubling", "--seed", "-1", "-o", "x.h5"], ["--seed -1", "at least 0"]),
        (["generate", "doubling", "-o", "no/where/x.h5"], ["no/where", "make it, or choose one"]),
        (["evaluate", "."], ["no config.yaml", "`sciml run` makes one"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(tiny, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    line = complaint(capsys, arguments)
    assert all(word in line for word in words), line
    assert not (tmp_path / "runs").exists()


def test_bad_files_are_one_line(tiny, tmp_path, capsys):
    good = pairs(tmp_path / "good.npz")
    command = ["run", "--learner", "factor", "--steps", "2", "-o", tmp_path / "run", "--test-data", good, "--data"]
    assert "no such file" in complaint(capsys, [*command, tmp_path / "none.h5"])
    assert main(["generate", "doubling", "--count", "64", "-o", str(tmp_path / "whole.h5")]) == 0
    capsys.readouterr()
    (tmp_path / "half.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:-2000])
    assert "half.h5" in complaint(capsys, [*command, tmp_path / "half.h5"])
    x = np.ones((4, 1, 8, 8), dtype=np.float32)
    x[2, 0, 3, 3] = np.nan
    np.savez(tmp_path / "nan.npz", x=x, y=x)
    line = complaint(capsys, [*command, tmp_path / "nan.npz"])
    assert "NaN" in line
    assert "1 of 4 samples (first: 2)" in line
    np.savez(tmp_path / "wide.npz", x=np.ones((4, 2, 8, 8)), y=np.ones((4, 1, 8, 8)))
    assert "factor cannot learn" in complaint(capsys, [*command, tmp_path / "wide.npz"])


def test_the_run_of_a_newer_version_is_refused(tiny, tmp_path, capsys):
    assert run_quickly(tmp_path, "--baselines", "none") == 0
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("schema: 1", "schema: 2", 1))
    capsys.readouterr()
    assert "schema 2, this version reads 1" in complaint(capsys, ["evaluate", tmp_path])
    again = ["run", "--config", tmp_path / "config.yaml", "-o", tmp_path / "again"]
    assert "config.yaml: written with schema 2, this version reads 1" in complaint(capsys, again)
    assert not (tmp_path / "again").exists()


def test_a_full_disk_loses_nothing(tiny, tmp_path, capsys, monkeypatch):
    assert run_quickly(tmp_path / "run", "--baselines", "none") == 0
    pairs(tmp_path / "in.npz")
    capsys.readouterr()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    command = ["predict", tmp_path / "run", "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz"]
    assert "the disk is full" in complaint(capsys, command)
    assert not (tmp_path / "out.npz").exists()
    before = (tmp_path / "run" / "report.html").read_bytes()
    assert "the disk is full" in complaint(capsys, ["report", tmp_path / "run"])
    assert (tmp_path / "run" / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (MemoryError(), "out of memory", 2),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "out of memory", 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "disk is full", 2),
        (PermissionError(errno.EACCES, "Permission denied", "secret"), "secret: Permission denied", 2),
        (ZeroDivisionError("division by zero"), "defect of sciml", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_failure_is_one_line(tiny, tmp_path, monkeypatch, capsys, error, words, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(learner_types()["factor"], "fit", fail)
    command = ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path]
    assert words in complaint(capsys, command, code)


@pytest.fixture
def listening():
    """Python heeds Ctrl-C, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_whatever_fails_after_ctrl_c_is_an_interruption(tiny, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("bad call flags") from None

    monkeypatch.setattr(learner_types()["factor"], "fit", fail)
    command = ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path]
    assert "interrupted" in complaint(capsys, command, 130)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_during_an_import_ends_the_process_with_one_line(tmp_path):
    (tmp_path / "heavy.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
    )
    code = "from sciml.interruption import Attention\nwith Attention(['list']).paid():\n    import heavy"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "sciml: interrupted; the same command starts anew.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "doubling", "-o", "x.h5"], "goes on where it stopped"),
        (["compare", "doubling", "--learners", "factor"], "goes on where it stopped"),
        (["run", "doubling", "--learner", "factor"], "goes on where it stopped"),
        (["list"], "starts anew"),
        (["evaluate", "nowhere"], "starts anew"),
        (["predict", "nowhere", "--input", "a.npz", "-o", "b.npz"], "starts anew"),
        (["report", "nowhere"], "starts anew"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_an_interrupted_command_promises_only_what_it_keeps(tiny, tmp_path, monkeypatch, capsys, arguments, words):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    for target in ("pde_benchmarks.registry.find", "sciml.experiments.build_problem", "sciml.runs.Run.open"):
        monkeypatch.setattr(target, interrupt)
    monkeypatch.setattr("sciml.experiments.experiment.build_problem", interrupt)
    monkeypatch.setattr("sciml.experiments.comparison.build_problem", interrupt)
    monkeypatch.setattr("sciml.commands.console.table", interrupt)
    assert complaint(capsys, arguments, 130) == f"sciml: interrupted; the same command {words}."


def test_the_bare_command_prints_its_help(capsys):
    assert main([]) == 0
    printed = capsys.readouterr()
    assert "Usage: sciml" in printed.out
    assert printed.err == ""


def test_out_of_memory_in_training_suggests_a_batch_size(tiny, tmp_path, monkeypatch, capsys):
    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(torch.nn.Conv2d, "train", greedy)
    command = ["run", "doubling", "--learner", "factor", *QUICK, "-o", tmp_path]
    assert "use batch_size=4" in complaint(capsys, command)


def test_debugging_shows_where_it_failed(tiny, monkeypatch):
    monkeypatch.setenv("SCIML_DEBUG", "1")
    with pytest.raises(ConfigurationError, match="unknown problem"):
        main(["run", "dracy"])


def test_help_is_fast_and_the_two_names_are_one_command():
    """Neither torch nor anything else heavy is loaded to show how the commands are used."""
    code = "import sys; from sciml.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    direct = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    module = subprocess.run([sys.executable, "-m", "sciml", "--help"], capture_output=True, text=True, check=True)
    assert direct.stdout == module.stdout
    commands = ("list", "generate", "run", "evaluate", "predict", "invert", "compare", "report")
    assert all(command in module.stdout for command in commands)
    failed = subprocess.run([sys.executable, "-m", "sciml", "dance"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("sciml: No such command 'dance'")


@pytest.mark.parametrize("text", ["", "0s", "-3s", "60 parsecs", "1e", "nan"])
def test_durations_that_are_none_are_refused(text):
    with pytest.raises(ConfigurationError, match="positive duration"):
        seconds(text)


def test_values_are_read_as_written():
    assert [seconds(text) for text in ("90", "60s", "2 min", "1H")] == [90, 60, 120, 3600]
    assert settings(["a=1", "b=2.5", "c=x=y", "d=true", "e=[1, 2]"]) == {
        "a": 1,
        "b": 2.5,
        "c": "x=y",
        "d": True,
        "e": [1, 2],
    }
    assert names("a, b,") == ["a", "b"]
    for pairs_ in (["a"], ["=1"], ["a=1", "a=2"], ["a=[1"]):
        with pytest.raises(ConfigurationError, match="setting"):
            settings(pairs_)
