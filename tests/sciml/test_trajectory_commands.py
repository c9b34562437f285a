"""The commands on trajectories: trained, compared, drawn, filmed; what cannot be done is said in one line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import trajectory_toys
from evolutions import Drift
from PIL import Image

import sciml
from pde_benchmarks.registry import problem_types
from sciml.cli import main
from sciml.experiments.evaluations import rk45_evaluations
from sciml.learner import learner_types
from sciml.learners.trajectories import LatentODE, NeuralODE

TINY = ["--steps", "2", "--samples", "4", "--test-samples", "2"]
ONE_STEP = ["--steps", "1", "--samples", "4", "--test-samples", "2"]


@pytest.fixture(autouse=True)
def small(tiny, monkeypatch):
    """The toys as problems, and the learners whether installed by entry points or not."""
    for problem in (trajectory_toys.Spiral, trajectory_toys.Waves, Drift):
        monkeypatch.setitem(problem_types(), problem.name, problem)
    for learner in (NeuralODE, LatentODE):
        monkeypatch.setitem(learner_types(), learner.name, learner)


def obey(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


def complaint(capsys, *arguments):
    """The one line that a failing command writes."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    spoken = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciml:")]
    assert len(spoken) == 1
    return spoken[0]


def figures(directory):
    return {path.stem for path in (directory / "figures").iterdir()}


@pytest.mark.parametrize(
    ("problem", "settings", "field", "channels"),
    [
        ("van-der-pol", ["frames=3"], "position_and_speed", 2),
        ("robertson", ["count=4", "last=10.0"], "concentrations", 3),
    ],
)
def test_a_system_of_numbers_goes_all_the_way(problem, settings, field, channels, tmp_path, capsys):
    run = tmp_path / "run"
    chosen = [word for setting in settings for word in ("--problem-set", setting)]
    obey("run", problem, "--learner", "neural-ode", "--set", "time=logarithmic", *TINY, *chosen, "-o", run)
    assert "no baselines: none of mgno-data" in capsys.readouterr().err
    assert {"trajectory", "frames", "errors", "training"} == figures(run)
    assert "Evaluations of the right-hand side" in (run / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((run / "metrics.json").read_text())["test"]["held_out"]
    assert metrics["evaluations_mean"] >= 8
    assert metrics["evaluations_rk45"] >= 8

    obey("evaluate", run)
    assert "evaluations_worst" in capsys.readouterr().out
    starts = np.full((2, channels), 0.25)
    np.savez(tmp_path / "starts.npz", **{f"initial_{field}": starts})
    obey("predict", run, "--input", tmp_path / "starts.npz", "-o", tmp_path / "later.npz")
    instants = len(sciml.load(run).problem.instants)
    assert np.load(tmp_path / "later.npz")[field].shape == (2, instants, channels)
    assert "linear equation" in complaint(
        capsys,
        "predict",
        run,
        "--input",
        tmp_path / "starts.npz",
        "-o",
        tmp_path / "certified.npz",
        "--certify",
        "1e-8",
    )


def test_a_field_is_drawn_at_its_instants_beside_a_baseline(tmp_path):
    obey("run", "drift", "--learner", "neural-ode", *ONE_STEP, "--baselines", "none", "-o", tmp_path / "run")
    assert {"trajectory", "frames", "fields"} <= figures(tmp_path / "run")


def test_a_regularizer_is_a_setting_of_the_learner(tmp_path):
    run = tmp_path / "run"
    obey("run", "waves", "--learner", "latent-ode", "--regularizer", "stiffness", "--set", "latent=2", *TINY, "-o", run)
    config = sciml.load(run).config
    assert (config.regularizer, config.latent) == ("stiffness", 2)


def test_a_weight_is_a_pair_on_the_command_line(tmp_path):
    obey(
        *("run", "spiral", "--learner", "neural-ode", "--regularizer", "error", "--set", "weight=[1, 0.1]"),
        *(*ONE_STEP, "-o", tmp_path / "run"),
    )
    assert tuple(sciml.load(tmp_path / "run").config.weight) == (1, 0.1)


def test_regularizers_are_compared_by_error_and_evaluations(tmp_path, capsys):
    obey(
        *("compare", "spiral", "--learners", "neural-ode:width=8", "--regularizers", "none,error,kinetic"),
        *("--seeds", "2", *TINY, "-o", tmp_path / "compared"),
    )
    labels = [f"neural-ode:width=8:regularizer={name}" for name in ("none", "error", "kinetic")]
    result = json.loads((tmp_path / "compared" / "comparison.json").read_text())
    assert list(result["learners"]) == labels
    for label in labels:
        for counted in ("evaluations_mean", "evaluations_rk45"):
            found = result["learners"][label][f"test.held_out.{counted}"]
            assert len(found["values"]) == 2
            assert found["value"] >= 8
    assert {"evaluations", "seconds", "parameters"} == figures(tmp_path / "compared")
    assert "needs the fewest evaluations" in (tmp_path / "compared" / "report.html").read_text(encoding="utf-8")
    assert "evaluations" in capsys.readouterr().out
    one = tmp_path / "compared" / "neural-ode-width-8-regularizer-kinetic-seed1"
    assert sciml.load(one).config.regularizer == "kinetic"


def test_learners_without_a_solver_are_compared_beside_one(tmp_path):
    obey("compare", "doubling", "--learners", "factor,factor:start=2.0", "--seeds", "1", *TINY, "-o", tmp_path / "c")
    result = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert list(result["learners"]) == ["factor", "factor:start=2.0"]
    assert result["learners"]["factor:start=2.0"]["test.held_out.relative_l2"]["value"] < 0.2
    assert "evaluations" not in figures(tmp_path / "c")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "doubling", "--learner", "factor", "--regularizer", "error"],
            "factor has no regularizer; learners with",
        ),
        (["run", "plate", "--learner", "mmgp", "--regularizer", "error"], "mmgp has no regularizer; learners with"),
        (
            ["run", "waves", "--learner", "latent-ode", "--regularizer", "error", "--set", "regularizer=kinetic"],
            "--regularizer error beside --set regularizer=kinetic: give one of them",
        ),
        (["run", "waves", "--learner", "latent-ode", "--regularizer", "ease"], "regularizer = 'ease': use none, error"),
        (["compare", "doubling", "--learners", "factor", "--regularizers", "none,error"], "factor has no regularizer"),
        (["compare", "waves", "--learners", "latent-ode", "--regularizers", "none,ease"], "regularizer = 'ease'"),
        (
            ["compare", "waves", "--learners", "latent-ode:regularizer=error", "--regularizers", "none"],
            "--regularizer none beside --set regularizer=error",
        ),
        (["compare", "waves", "--learners", "latent-ode:latent"], "key=value is expected"),
    ],
    ids=["learner", "mesh learner", "both", "unknown", "compare", "compare unknown", "compare both", "no value"],
)
def test_what_cannot_be_regularized_is_said_in_one_line(arguments, words, capsys):
    assert words in complaint(capsys, *arguments)


def test_a_report_films_a_sample_at_every_instant(tmp_path, capsys):
    obey("run", "spiral", "--learner", "neural-ode", *ONE_STEP, "-o", tmp_path / "run")
    obey("report", tmp_path / "run", "--animation", tmp_path / "film.gif")
    assert f"animation: {tmp_path / 'film.gif'}" in capsys.readouterr().out.replace("\n", "")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == len(trajectory_toys.Spiral().instants)


def test_what_cannot_be_filmed_is_said_before_anything_is_measured(tmp_path, capsys, monkeypatch):
    obey("run", "spiral", "--learner", "neural-ode", *ONE_STEP, "-o", tmp_path / "run")
    obey("run", "doubling", "--learner", "factor", *ONE_STEP, "--baselines", "none", "-o", tmp_path / "other")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "needs the program ffmpeg: install it, or ask for a .gif" in complaint(
        capsys, "report", tmp_path / "run", "--animation", tmp_path / "film.mp4"
    )
    assert "must end in .mp4 or .gif" in complaint(
        capsys, "report", tmp_path / "run", "--animation", tmp_path / "a.avi"
    )
    assert "doubling gives no trajectory" in complaint(
        capsys, "report", tmp_path / "other", "--animation", tmp_path / "film.gif"
    )


def test_rk45_is_not_waited_for_where_it_is_hopeless(monkeypatch):
    data = trajectory_toys.samples(trajectory_toys.Spiral(), 4)
    learner = NeuralODE.from_problem(data.problem)
    assert rk45_evaluations(learner, data.inputs)["evaluations_rk45"] >= 8
    monkeypatch.setattr("sciml.experiments.evaluations.MOST", 10)
    assert rk45_evaluations(learner, data.inputs) == {}
