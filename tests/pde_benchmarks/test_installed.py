"""Entry points that cannot be loaded do not take the others with them."""

from __future__ import annotations

import warnings

import pytest

from pde_benchmarks import installed as module
from pde_benchmarks.errors import ConfigurationError
from pde_benchmarks.registry import find, problem_types
from sciml.learner import learner_types
from sciml.mesh_learner import mesh_learner_types

METADATA = "Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.2\n"
ENTRY_POINTS = """[sciml.learners]
gone = no_such_package.learners:Gone
nameless = math:no_such_name

[sciml.mesh_learners]
flawed = flawed_plugin:Flawed
"""
TABLES = (problem_types, learner_types, mesh_learner_types)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A distribution whose entry points cannot be loaded, found as every installed one is."""
    folder = tmp_path / "broken_plugin-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "flawed_plugin.py").write_text("raise RuntimeError('needs a licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for table in TABLES:
        table.cache_clear()
    yield
    for table in TABLES:
        table.cache_clear()


def test_a_broken_learner_is_named_and_left_out(plugin):
    """Name, target, distribution and cause; the learners of this package are all there."""
    with pytest.warns(RuntimeWarning) as told:
        found = learner_types()
    said = sorted(str(w.message) for w in told)
    assert len(said) == 2
    assert "gone = no_such_package.learners:Gone (sciml.learners) of broken-plugin 1.2 cannot be loaded" in said[0]
    assert "ModuleNotFoundError: No module named 'no_such_package'" in said[0]
    assert "nameless = math:no_such_name" in said[1]
    assert {"mgno", "hard-constraint"} <= set(found)
    assert not {"gone", "nameless"} & set(found)


def test_it_is_an_error_only_for_who_asks_for_it(plugin):
    with pytest.warns(RuntimeWarning, match="flawed_plugin:Flawed"):
        of_meshes = mesh_learner_types()
    with pytest.warns(RuntimeWarning) as told:
        found = learner_types()
    assert len(told) == 2
    assert find(found, "mgno", "learner").name == "mgno"
    with pytest.raises(ConfigurationError, match=r"learner 'gone': entry point .* of broken-plugin 1.2 .* uninstall"):
        find(found, "gone", "learner")
    with pytest.raises(ConfigurationError, match="RuntimeError: needs a licence"):
        find(of_meshes, "flawed", "learner of meshes")
    with pytest.raises(ConfigurationError, match="unknown learner 'other': known are"):
        find(found, "other", "learner")


def test_a_sound_installation_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = module.installed("sciml.learners")
    assert not found.broken
    assert "mgno" in found
