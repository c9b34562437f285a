"""Carry an experiment through: train the learner and its baselines, measure them, write figures and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pde_benchmarks.linear import LinearProblem
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.registry import configure
from sciml.certify import estimated_error
from sciml.classical import ClassicalRow, classical_rows, left_out
from sciml.errors import about
from sciml.experiments.data import FINER, ExperimentData, Silent, Watcher, with_data
from sciml.experiments.experiment import Experiment, beside, build_problem
from sciml.experiments.measure import measure, train
from sciml.experiments.story import Story, write_story
from sciml.learner import Learner
from sciml.runs import Run

__all__ = ["Outcome", "accompany", "conduct", "present", "reopen"]


@dataclass(frozen=True)
class Outcome:
    """What an experiment came to.

    Parameters
    ----------
    metrics
        Content of ``metrics.json``.
    story
        What the report is made of.
    report
        Path of the report.
    """

    metrics: Mapping[str, Any]
    story: Story
    report: Path


def conduct(run: Run, experiment: Experiment, data: ExperimentData, watcher: Watcher) -> Outcome:
    """Train what is not trained yet, then measure everything and write the report."""
    if experiment.threads is not None:
        torch.set_num_threads(experiment.threads)
    learners = {experiment.learner: train(run, experiment, data, watcher)}
    for other in beside(experiment):
        learners[other.learner] = train(run.baseline(other.learner), other, data, watcher)
    return present(run, experiment, data, learners, watcher)


def accompany(run: Run, experiment: Experiment, data: ExperimentData) -> None:
    """What the other processes of torchrun do: they train along, and leave measuring and writing to the first."""
    if experiment.threads is not None:
        torch.set_num_threads(experiment.threads)
    train(run, experiment, data, Silent())
    for other in beside(experiment):
        train(run.baseline(other.learner), other, data, Silent())


def present(
    run: Run, experiment: Experiment, data: ExperimentData, learners: Mapping[str, Learner], watcher: Watcher
) -> Outcome:
    """Measure trained learners, the first of which is the run's own, and write metrics, figures and report."""
    runs = {name: run if name == experiment.learner else run.baseline(name) for name in learners}
    measured: dict[str, dict[str, Any]] = {}
    with watcher.bar("measuring") as advance:
        for index, (name, learner) in enumerate(learners.items()):
            advance(index / (len(learners) + 1), name)
            measured[name] = measure(runs[name], learner, data.tests)
            runs[name].write_metrics(measured[name])
        advance(len(learners) / (len(learners) + 1), "without learning")
        own = measured[experiment.learner]
        reference = reference_rows(data, own["predict_ms_per_sample"])
        own = own | _direct(learners[experiment.learner], data)
        certificate = _certificate(learners[experiment.learner], data)
        own = own | _ratios(certificate)
    own["baselines"] = {name: values for name, values in measured.items() if name != experiment.learner}
    own["without_learning"] = plain_rows(reference)
    run.write_metrics(own)
    remark_on_rows(data, watcher)
    histories = {name: runs[name].history() for name in learners}
    story = Story(data, dict(learners), histories, measured, reference, certificate)
    return Outcome(own, story, write_story(run, story))


def reopen(run: Run, watcher: Watcher) -> tuple[Experiment, ExperimentData, dict[str, Learner]]:
    """The experiment of a finished run, its data and its learners; raises RunError if training has not ended."""
    with about(run.directory / "config.yaml"):
        experiment: Experiment = configure(Experiment, run.experiment)
        if experiment.problem is not None:
            build_problem(experiment.problem, experiment.problem_settings)  # before data and weights: it names the file
    learners = {experiment.learner: run.load_learner()}
    learners |= {name: beside.load_learner() for name, beside in run.baselines().items()}
    return experiment, with_data(experiment, watcher), learners


def reference_rows(data: ExperimentData, milliseconds: float) -> list[ClassicalRow]:
    """What needs no learning, on the first test set, up to the learner's prediction time."""
    (test, *_) = data.tests.values()
    return classical_rows(test.problem, data.train, test, milliseconds / 1e3)


def remark_on_rows(data: ExperimentData, watcher: Watcher) -> None:
    """Say which row without learning is not there, and why."""
    (test, *_) = data.tests.values()
    sentence = left_out(test.problem, test)
    if sentence:
        watcher.say(sentence)


def plain_rows(rows: Sequence[ClassicalRow]) -> dict[str, dict[str, float]]:
    """Rows without learning as ``{name: numbers}``, for JSON."""
    return {row.name: {**row.metrics, "predict_ms_per_sample": 1e3 * row.seconds_per_sample} for row in rows}


def _direct(learner: Learner, data: ExperimentData) -> dict[str, float]:
    """The error at the finer resolution when the network is simply applied there."""
    directly = getattr(learner, "predict_directly", None)
    if directly is None or FINER not in data.tests:
        return {}
    finer = data.tests[FINER]
    errors = learner.problem.metrics(directly(finer.inputs).mean, finer.outputs)
    return {f"{FINER}_without_anchoring.{key}": value for key, value in errors.items()}


def _certificate(learner: Learner, data: ExperimentData) -> tuple[Tensor, Tensor] | None:
    """Estimated and true relative error of every sample of the first test set, where the equation is known."""
    (test, *_) = data.tests.values()
    if not isinstance(test.problem, LinearProblem):
        return None
    prediction = learner.predict(test.inputs).mean
    name = test.problem.output.name
    return estimated_error(test.problem, test.inputs, prediction), relative_l2(prediction[name], test.outputs[name])


def _ratios(certificate: tuple[Tensor, Tensor] | None) -> dict[str, float]:
    if certificate is None:
        return {}
    ratio = certificate[0] / certificate[1]
    extremes = {"median": ratio.quantile(0.5), "smallest": ratio.min(), "largest": ratio.max()}
    return {f"estimate_over_error.{name}": value.item() for name, value in extremes.items()}
