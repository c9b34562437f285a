"""`sciml run lpn` on images, and `sciml invert` with its prior: from the command line to the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pde_benchmarks.imaging import Denoising
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from sciml.cli import main
from sciml.learner import learner_types
from sciml.learners.proximal.learner import LPN
from sciml.reconstructions import trained_prior
from sciml.reconstructions.prior_of_run import InUnit
from sciml.runs import Run

SMALL = ["--set", "widths=[4, 4]", "--set", "strides=[1, 1]", "--steps", "30", "--baselines", "none"]
LOOSE = ["--method-set", "tolerance=1e-3"]
NONE = ["--samples", 8, "--baselines", "none"]


def command(*arguments):
    return main([*map(str, arguments)])


def complaint(capsys, *arguments):
    """The one line that a failing command writes."""
    assert command(*arguments) == 2
    spoken = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("sciml:")]
    assert len(spoken) == 1
    return spoken[0]


@pytest.fixture(autouse=True)
def registered(monkeypatch, tmp_path_factory):
    monkeypatch.setitem(learner_types(), "lpn", LPN)
    monkeypatch.delenv("SCIML_DEBUG", raising=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A prior of short signals."""
    folder = tmp_path_factory.mktemp("prior")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learner_types(), "lpn", LPN)
        patch.setenv("SCIML_CACHE", str(folder / "cache"))
        settings = ["--problem-set", "law=signals", "--problem-set", "resolution=16", "--samples", 64]
        code = command(
            "run", "denoising", "--learner", "lpn", *settings, *SMALL, "--test-samples", 8, "-o", folder / "run"
        )
    assert code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "photographs"
    folder.mkdir()
    for k in range(6):
        values = np.random.default_rng(k).integers(0, 256, (5, 5), dtype=np.uint8)
        Image.fromarray(values).resize((16, 16)).save(folder / f"{k}.png")
    return folder


def test_a_learner_s_name_with_data_trains_it_on_images(images, tmp_path, capsys):
    arguments = ["--problem-set", "patch=8", "--problem-set", "noise=0.2", *SMALL, "-o", tmp_path / "run"]
    assert command("run", "lpn", "--data", images, *arguments) == 0
    assert "share no image" in capsys.readouterr().out
    problem = Run.open(tmp_path / "run").load_learner().problem
    assert isinstance(problem, ImageDenoising)
    assert (problem.shape, problem.noise) == ((8, 8), 0.2)
    prior = trained_prior(tmp_path / "run")
    assert prior.truths(2, 0).shape == (2, 1, 8, 8)
    assert "keeps 4 images back" in complaint(
        capsys, "invert", "deblur", "--prior", tmp_path / "run", "--seed", 100, "-o", tmp_path / "far"
    )


def test_two_learners_are_refused(images, capsys):
    assert "two learners" in complaint(capsys, "run", "lpn", "--learner", "mgno-data", "--data", images)
    assert "--samples" in complaint(capsys, "run", "lpn", "--data", images, "--samples", 3)


def test_a_reconstruction_leaves_a_report(run, tmp_path, capsys):
    folder = tmp_path / "made"
    assert command("invert", "heat-source", "--prior", run, "--noise", 0.05, "--weight", 30, *LOOSE, "-o", folder) == 0
    told = capsys.readouterr()
    for word in ("learned prior", "Tikhonov", "total variation", "conditions of the convergence theorem", "yes"):
        assert word in told.out
    assert {p.name for p in folder.iterdir()} == {"reconstruction.h5", "metrics.json", "figures", "report.html"}
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["within_theorem"]
    assert numbers["reconstructions"]["learned prior"]["psnr_db"] > 10
    again = tmp_path / "again"
    arguments = ["--method", "admm", "--weight", 20, "--method-set", "max_iterations=20", "-o", again]
    assert command("invert", "deblur", "--prior", run, "--problem-set", "width=0.8", *arguments) == 0
    numbers = json.loads((again / "metrics.json").read_text())
    assert numbers["problem_settings"] == {"width": 0.8}
    assert numbers["status"] == ["MAX_ITERATIONS"]
    assert "has not converged" in (again / "report.html").read_text()


def test_data_of_one_s_own_are_reconstructed(run, tmp_path):
    np.save(tmp_path / "signal.npy", np.random.default_rng(0).random(24))
    arguments = ["--input", tmp_path / "signal.npy", "--weight", 1, *LOOSE, "-o", tmp_path / "made"]
    assert command("invert", "deblur", "--prior", run, *arguments) == 0
    numbers = json.loads((tmp_path / "made" / "metrics.json").read_text())
    assert numbers["noise"] is None
    assert "psnr_db" not in numbers["reconstructions"]["learned prior"]


def test_what_cannot_work_is_said_in_one_line(run, tmp_path, capsys):
    np.save(tmp_path / "field.npy", np.zeros((8, 8)))
    prior = ["--prior", run]
    for arguments, words in (
        (["deblur"], "needs a learned prior"),
        (["darcy", "--noise", "0.1"], "--noise applies to reconstructions"),
        (["darcy", "--method", "admm"], "--method admm needs a learned prior"),
        (["blurring", *prior], "known"),
        (["deblur", "--prior", tmp_path], "config.yaml"),
        (["deblur", *prior, "--noise", "0"], "noise = 0"),
        (["deblur", *prior, "--weight", "much"], "--weight much"),
        (["deblur", *prior, "--weight", "-1"], "weight = -1"),
        (["deblur", *prior, "--strength", "strong"], "strength 'strong'"),
        (["deblur", *prior, "--method", "hmc"], "--method hmc with --prior"),
        (["deblur", *prior, "--sensors", "3"], "--sensors applies to inversions by sensors"),
        (["deblur", *prior, "--problem-set", "widths=1"], "'widths'"),
        (["deblur", *prior, "--problem-set", "width=0"], "width 0.0"),
        (["deblur", *prior, "--weight", "1", "--method-set", "step=1e9"], "steps in (0, "),
        (["deblur", *prior, "--input", tmp_path / "none.npy"], "none.npy"),
        (["deblur", *prior, "--input", tmp_path / "field.npy"], "1 channels on 2 axes"),
        (["deblur", *prior, "--input", tmp_path / "field.npy", "--count", "2"], "--count applies to a synthetic case"),
        (["tomography", *prior], "square images"),
    ):
        said = complaint(capsys, "invert", *arguments, "-o", tmp_path / "made")
        assert words in said, said
    assert not (tmp_path / "made").exists()


def test_a_directory_of_something_else_is_not_overwritten(run, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "not empty" in complaint(capsys, "invert", "deblur", "--prior", run, "-o", tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_learner_without_a_potential_is_no_prior(tiny, tmp_path, capsys):
    assert command("run", "doubling", "--learner", "factor", "--steps", 2, *NONE, "-o", tmp_path / "run") == 0
    capsys.readouterr()
    assert "has no prior for reconstructions" in complaint(capsys, "invert", "deblur", "--prior", tmp_path / "run")


def test_a_network_of_fields_of_range_one_serves_others(run):
    """s f(x/s) is the gradient of s² ψ(x/s)."""
    network = trained_prior(run).network
    v = torch.rand(2, 1, 16, dtype=torch.float64, requires_grad=True)
    psi, f = InUnit(network, 3.0).potential_and_gradient(v)
    (slope,) = torch.autograd.grad(psi.sum(), v)
    torch.testing.assert_close(f, slope)
    torch.testing.assert_close(InUnit(network, 3.0)(v), f)
    assert Denoising("darcy:coefficient", 9).peak > 1
