"""A problem and a learner of another distribution are found by their entry points and run unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "third_party"


@pytest.fixture(scope="module")
def sciml(tmp_path_factory):
    """The command, in an environment in which the other distribution is installed."""
    folder = tmp_path_factory.mktemp("third_party")
    copy = shutil.copytree(SOURCE, folder / "source")  # building leaves files beside the sources
    target = folder / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    installation = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(copy)]
    subprocess.run(installation, check=True, capture_output=True)
    paths = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "SCIML_CACHE": str(folder / "cache"), "COLUMNS": "200"}

    def call(*arguments):
        command = [sys.executable, "-m", "sciml", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)

    return call


def test_it_is_listed_and_in_the_matrix(sciml):
    listed = sciml("list")
    assert listed.returncode == 0, listed.stderr
    assert "one-factor" in listed.stdout
    assert "u_t = u_xx" in listed.stdout
    bands = sciml("list", "--matrix").stdout.split("\n\n")
    rows = [line.split() for band in bands for line in band.splitlines() if line.startswith("smoothing ")]
    assert any(cell.startswith("F") for row in rows for cell in row)  # our learners see its problem
    band = next(band for band in bands if "one-factor" in band)
    assert sum("FP" in line.split() for line in band.splitlines()) > 1  # its learner sees ours


FEW = ["--samples", "16", "--test-samples", "4", "--steps", "5", "--baselines", "none"]


def test_its_problem_is_learned_by_its_learner_and_predicted(sciml, tmp_path):
    few = ["--set", "start=0.5", *FEW]
    run = sciml("run", "smoothing", "--learner", "one-factor", *few, "-o", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 < metrics["test.held_out.relative_l2"] < 5  # one number for all waves is a poor model
    generated = sciml("generate", "smoothing", "--count", "3", "-o", tmp_path / "data.h5")
    assert generated.returncode == 0, generated.stderr
    predicted = sciml("predict", tmp_path / "run", "--input", tmp_path / "data.h5", "-o", tmp_path / "answer.h5")
    assert predicted.returncode == 0, predicted.stderr


def test_our_learner_learns_its_problem(sciml, tmp_path):
    run = sciml("run", "smoothing", "--learner", "mgno-data", *FEW, "-o", tmp_path)
    assert run.returncode == 0, run.stderr


def test_its_learner_learns_our_problem(sciml, tmp_path):
    run = sciml("run", "darcy", "--problem-set", "resolution=16", "--learner", "one-factor", *FEW, "-o", tmp_path)
    assert run.returncode == 0, run.stderr
