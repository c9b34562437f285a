"""The page about parts on meshes: its code runs, and says what it claims."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.learners.mmgp.morphings import MORPHINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mmgp.md"


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def test_the_page_s_code_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), scope)
    assert scope["error"].max() < 0.02 * scope["truth"].point_data["w"].max()
    assert not scope["answer"].trust.is_foreign
    assert scope["inside"].mean() > 0.5
    assert scope["drawn"].fields["w"].shape == (200, len(scope["truth"].points))
    assert float(scope["largest"].median()) == pytest.approx(scope["truth"].point_data["w"].max(), rel=0.05)
    assert len(set(scope["chosen"].order)) == 2
    (again,) = scope["again"].predict([scope["truth"]])
    np.testing.assert_allclose(again.mean["w"].numpy(), scope["truth"].point_data["w"], atol=0.02 * 13.9)


def test_every_morphing_is_on_the_page(text):
    assert all(f"`{name}`" in text for name in MORPHINGS)


def test_every_option_on_the_page_exists(text):
    """Long options of the commands in the text are those of the command line."""
    known = set()
    for command in ("run", "compare", "predict", "evaluate", "generate", "report", "mesh plot"):
        printed = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "300"}).output
        known |= set(re.findall(r"--[a-z][a-z-]+", printed))
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known
