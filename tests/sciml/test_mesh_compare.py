"""``sciml compare`` on meshes: the same meshes for all learners, tables, files, and going on where it stopped."""

import csv
import json
import math

import pytest
from arch_problem import Arches
from mesh_commands import complaint, obey, write_folder
from mmgp_parts import arches

from pde_benchmarks.registry import mesh_problem_types
from sciml.cli import main
from sciml.learners.mmgp import MMGP
from sciml.mesh_experiments.comparison_tables import error_rows, winner

FEW = ["--samples", "14", "--test-samples", "4", "--workers", "1"]
LEARNERS = ["--learners", "mmgp,mmgp-published,nearest"]


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """The problem ``arches``, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mesh_problem_types(), "arches", Arches)
        patch.setenv("SCIML_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("SCIML_DEBUG", raising=False)
        yield


@pytest.fixture(scope="module")
def compared(registered, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "compared"
    assert main(["compare", "arches", *FEW, *LEARNERS, "--seeds", "2", "-o", str(directory)]) == 0
    return directory


def test_every_learner_has_its_errors_and_its_costs(compared):
    result = json.loads((compared / "comparison.json").read_text())
    assert list(result["learners"]) == ["mmgp", "mmgp-published", "nearest"]
    assert (result["seeds"], result["fields"], result["scalars"]) == ([0, 1], ["w", "s"], ["peak"])
    for values in result["learners"].values():
        for key in ("test.held_out.rrmse.w", "test.held_out.q2.peak", "test.held_out.coverage_95.s", "parameters"):
            assert len(values[key]["values"]) == 2
        assert values["train_seconds"]["value"] > 0
        assert values["predict_ms_per_sample"]["value"] > 0
    errors = {name: values["test.held_out.rrmse.w"]["value"] for name, values in result["learners"].items()}
    assert errors["mmgp"] < errors["nearest"]
    nearest = result["learners"]["nearest"]["test.held_out.rrmse.w"]["values"]
    assert nearest[0] == nearest[1]  # nothing in it is drawn


def test_each_is_a_run_of_its_own_on_the_same_data(compared):
    for name in ("mmgp", "mmgp-published", "nearest"):
        metrics = json.loads((compared / f"{name}-seed1" / "metrics.json").read_text())
        assert metrics["learner"] == name
        assert {"train_seconds", "predict_ms_per_sample", "parameters"} <= set(metrics)


def test_the_table_for_spreadsheets_holds_all_numbers(compared):
    result = json.loads((compared / "comparison.json").read_text())
    with (compared / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(entry["values"]) for v in result["learners"].values() for entry in v.values())
    (row,) = [
        r for r in rows if (r["learner"], r["seed"], r["metric"], r["predicted"]) == ("nearest", "1", "rrmse", "peak")
    ]
    assert row["test"] == "held_out"
    assert float(row["value"]) == result["learners"]["nearest"]["test.held_out.rrmse.peak"]["values"][1]


def test_figures_and_page_show_it(compared):
    assert {path.name for path in (compared / "figures").iterdir()} == {"errors.png", "coverage.png", "seconds.png"}
    page = (compared / "report.html").read_text()
    for words in ("has the smallest RRMSE", "mmgp-published", "memory (MiB)", "data:image/png;base64", "Machine:"):
        assert words in page


def test_given_again_it_goes_on_and_trains_nothing_twice(compared, capsys, monkeypatch):
    monkeypatch.setattr(MMGP, "fit", None)
    said, _ = obey(capsys, ["compare", "arches", *FEW, *LEARNERS, "--seeds", "2", "-o", compared])
    assert "comparison.csv" in said
    line = complaint(capsys, ["compare", "arches", *FEW, "--learners", "mmgp", "--seeds", "2", "-o", compared])
    assert "a finished comparison of another kind is there (with mmgp-published, nearest)" in line


def test_learners_are_compared_on_files(registered, tmp_path, capsys):
    data = write_folder(tmp_path / "parts", arches(20, cells=(8, 6)))
    command = ["compare", "--data", data, "--field", "w", "--scalars", "scalars.csv", "--landmarks"]
    command += ["foot,toe,right,left", "--learners", "nearest", "--seeds", "1", "-o", tmp_path / "compared"]
    said, _ = obey(capsys, command)
    assert "16 samples to learn from" in said
    assert "nearest" in said
    assert (tmp_path / "compared" / "nearest-seed0" / "learner.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["arches", "--learners", "mmgp,mgno"], "unknown learner of meshes 'mgno'"),
        (["arches", "--learners", "none"], "name at least one learner"),
        (["arches", "--learners", "nearest", "--budget", "60s"], "--budget has no meaning for meshes"),
        (["arches", "--learners", "nearest", "--field", "w"], "--field applies to files"),
        (["--learners", "nearest"], "name a problem"),
        (["--learners", "mgno"], "name one, and give no --data"),
        (["darcy", "--learners", "nearest"], "unknown problem on meshes 'darcy'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_compared_is_said(registered, tmp_path, capsys, arguments, words):
    assert words in complaint(capsys, ["compare", *arguments, "-o", tmp_path / "compared"])
    assert not (tmp_path / "compared").exists()


def test_errors_that_no_learner_has_are_left_out():
    """A field that is zero in all samples has no relative error."""
    entries = {"test.t.rrmse.u": {"value": 0.1, "spread": None, "values": [0.1]}}
    entries["test.t.rrmse.p"] = {"value": math.nan, "spread": None, "values": [math.nan]}
    result = {"tests": ["t"], "fields": ["u", "p"], "scalars": ["q"], "learners": {"nearest": entries}}
    assert error_rows(result)[0] == ["u", 0.1]
    assert error_rows(result)[2] == ["q", None]
    assert winner(result).endswith("the median field: 0.1.")
