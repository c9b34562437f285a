"""A run directory holds everything, is never overwritten by accident, and says what is wrong with it."""

from __future__ import annotations

import pytest
import yaml

from sciml.errors import RunError
from sciml.files import read_json, write_json, write_text
from sciml.learner import learner_types
from sciml.runs import Run
from sciml.training import History

EXPERIMENT = {"problem": "doubling", "learner": "factor", "seed": 0, "baselines": ["twin"]}


def finished(directory, tiny, name="factor"):
    """A run whose learner is untrained but saved, with a report."""
    run = Run.create(directory, EXPERIMENT, "sciml run doubling")
    history = History()
    history.add(step=1, seconds=0.5, learning_rate=1e-3, train_loss=0.1, validation_error=0.2)
    run.save_learner(learner_types()[name].from_problem(tiny), history)
    run.write_report("<html></html>")
    return run


def test_a_run_comes_back_as_it_was_written(tiny, tmp_path):
    run = finished(tmp_path / "run", tiny)
    run.write_metrics({"test.a.relative_l2": 0.5})
    opened = Run.open(tmp_path / "run")
    assert (opened.experiment, opened.finished, opened.trained) == (EXPERIMENT, True, True)
    assert opened.metrics() == {"test.a.relative_l2": 0.5}
    assert opened.history().rows[0]["validation_error"] == 0.2
    assert opened.load_learner().name == "factor"
    assert opened.config["command"] == "sciml run doubling"
    assert {"python", "torch"} <= opened.config["versions"].keys()
    assert opened.config["hardware"]["cores"] >= 1


def test_a_finished_run_is_not_overwritten_unless_asked(tiny, tmp_path):
    run = finished(tmp_path, tiny)
    write_text(tmp_path / "notes.txt", "mine")
    with pytest.raises(RunError, match=r"a finished run is there: give --overwrite"):
        Run.create(tmp_path, EXPERIMENT)
    Run.create(tmp_path, {**EXPERIMENT, "seed": 1}, overwrite=True)
    assert not run.finished
    assert not run.trained
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "notes.txt"]


def test_a_tuple_in_the_settings_is_the_list_that_was_written(tiny, tmp_path):
    experiment = {**EXPERIMENT, "learner_settings": {"weight": (1.0, 0.1)}}
    Run.create(tmp_path, experiment).save_learner(learner_types()["factor"].from_problem(tiny), History())
    assert Run.create(tmp_path, experiment).trained
    with pytest.raises(RunError, match=r"learner_settings differs"):
        Run.create(tmp_path, {**EXPERIMENT, "learner_settings": {"weight": (1.0, 0.2)}})


def test_an_unfinished_run_goes_on_only_with_its_own_experiment(tiny, tmp_path):
    run = Run.create(tmp_path, EXPERIMENT)
    assert Run.create(tmp_path, {**EXPERIMENT, "seed": 3}).experiment["seed"] == 3  # nothing was lost
    run = Run.create(tmp_path, EXPERIMENT)
    run.save_learner(learner_types()["factor"].from_problem(tiny), History())
    assert Run.create(tmp_path, EXPERIMENT).trained
    with pytest.raises(RunError, match=r"another experiment is there \(seed differs: seed was 0, now 4\)"):
        Run.create(tmp_path, {**EXPERIMENT, "seed": 4})


def test_a_baseline_is_a_run_of_the_same_form(tiny, tmp_path):
    run = finished(tmp_path, tiny)
    assert run.baselines() == {}
    beside = run.baseline("twin")
    assert beside.experiment["learner"] == "twin"
    beside.save_learner(learner_types()["twin"].from_problem(tiny), History())
    assert list(run.baselines()) == ["twin"]
    assert run.baselines()["twin"].load_learner().name == "twin"


def test_a_missing_foreign_newer_or_broken_directory_is_named(tiny, tmp_path):
    with pytest.raises(RunError, match="no such run directory"):
        Run.open(tmp_path / "none")
    write_text(tmp_path / "thesis.tex", "years of work")
    for open_or_create in (Run.open, lambda place: Run.create(place, EXPERIMENT, overwrite=True)):
        with pytest.raises(RunError, match="not a run directory"):
            open_or_create(tmp_path)
    with pytest.raises(RunError, match="a file, and a run needs a directory"):
        Run.create(tmp_path / "thesis.tex", EXPERIMENT)
    run = finished(tmp_path / "run", tiny)
    with pytest.raises(RunError, match=r"its runs are .*run\."):
        Run.open(tmp_path)
    config = run.config
    write_text(run.directory / "config.yaml", yaml.safe_dump({**config, "schema": 99}))
    with pytest.raises(RunError, match="written with schema 99, this version reads 1: update"):
        Run.open(run.directory)
    write_text(run.directory / "config.yaml", "schema: [1")
    with pytest.raises(RunError, match="not YAML, or truncated"):
        Run.open(run.directory)
    write_text(run.directory / "config.yaml", "a: 1")
    with pytest.raises(RunError, match="not of a sciml run"):
        Run.open(run.directory)


def test_weights_of_another_learner_are_refused(tiny, tmp_path):
    run = finished(tmp_path, tiny, name="twin")
    with pytest.raises(RunError, match=r"config.yaml is of the learner factor, learner.json of twin"):
        run.load_learner()
    description = read_json(tmp_path / "learner.json")
    write_json(tmp_path / "learner.json", {**description, "schema": 7})
    with pytest.raises(RunError, match="schema 7"):
        run.load_learner()


def test_an_untrained_run_says_how_to_go_on(tmp_path):
    with pytest.raises(RunError, match="its training has not ended"):
        Run.create(tmp_path, EXPERIMENT).load_learner()
