"""The page about learned proximal networks: its code runs, and its options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli import app, main
from sciml.learner import learner_types
from sciml.learners.proximal import LPN, ConditionedLPN
from sciml.reconstructions import FORWARD_PROBLEMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proximal.md"


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def test_the_page_s_code_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    small = "--samples 64 --test-samples 8 --steps 40 --baselines none"
    for kind in (LPN, ConditionedLPN):
        monkeypatch.setitem(learner_types(), kind.name, kind)
        assert main(f"run denoising --learner {kind.name} --problem-set law=signals {small}".split()) == 0
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), scope)
    found = scope["found"]
    assert found.within_theorem
    assert bool(found.monotone().all())
    assert scope["milder"].within_theorem
    assert bool(scope["milder"].monotone().all())
    assert scope["other"].x.shape == scope["truth"].shape
    assert scope["path"].value[0] == 0


def test_every_target_is_on_the_page(text):
    assert all(f"`{name}`" in text for name in FORWARD_PROBLEMS)


def test_every_option_on_the_page_exists(text):
    known = set()
    for command in ("run", "invert"):
        printed = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        known |= set(re.findall(r"--[a-z][a-z-]+", printed))
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known
