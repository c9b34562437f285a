"""The page about neural differential equations: its code runs, its options, settings and names exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pde_benchmarks.registry import problem_types
from sciml.cli import app, main
from sciml.learner import learner_types
from sciml.learners.neural_ode import IMPLICIT_TABLEAUX, TABLEAUX
from sciml.learners.trajectories import PENALTIES, LatentODE, NeuralODE

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "neural_ode.md"
TRAJECTORIES = (
    "burgers-trajectories",
    "kuramoto-sivashinsky",
    "fitzhugh-nagumo",
    "gray-scott",
    "van-der-pol",
    "robertson",
)


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def test_the_page_s_code_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(learner_types(), "latent-ode", LatentODE)
    small = "--samples 16 --test-samples 4 --steps 4 --baselines none"
    law = "--problem-set resolution=32 --problem-set viscosity=0.5 --problem-set frames=4"
    assert main(f"run burgers-trajectories --learner latent-ode --regularizer error {small} {law}".split()) == 0
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), scope)
    assert scope["waves"].shape == (4, 3, 1, 32)
    assert scope["fit"].item() < 0.1
    assert scope["paths"].ys.shape == (5, 16, 2)
    assert bool((scope["spread"][-1] > 0).all())


def test_every_option_on_the_page_exists(text):
    known = set()
    for command in ("run", "compare", "report", "predict"):
        printed = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        known |= set(re.findall(r"--[a-z][a-z-]+", printed))
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known


def test_every_setting_in_a_command_exists(text):
    settings = {field.name for kind in (NeuralODE, LatentODE) for field in dataclasses.fields(kind.config_type)}
    assert set(re.findall(r"--set '?(\w+)=", text)) - {"key"} <= settings


def test_every_penalty_and_method_is_on_the_page(text):
    assert all(f"`{name}`" in text for name in (*PENALTIES, *TABLEAUX, *IMPLICIT_TABLEAUX))


@pytest.mark.parametrize("page", ["neural_ode.md", "problems.md"])
def test_every_trajectory_problem_is_on_the_page(page):
    words = (DOCS / page).read_text(encoding="utf-8")
    assert set(TRAJECTORIES) <= set(problem_types())
    assert [name for name in TRAJECTORIES if f"`{name}`" not in words] == []
