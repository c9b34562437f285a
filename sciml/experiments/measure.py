"""Train one learner into its run directory, and measure what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pde_benchmarks.datasets import Dataset
from sciml.classical import seconds_per_sample
from sciml.experiments.data import ExperimentData, Watcher
from sciml.experiments.evaluations import rk45_evaluations
from sciml.experiments.experiment import Experiment, training_config, untrained
from sciml.learner import Learner
from sciml.processes import first_process
from sciml.runs import Run
from sciml.training import Progress, Trainer

__all__ = ["measure", "ready", "train"]

TIMING_SAMPLES = 64


def train(run: Run, experiment: Experiment, data: ExperimentData, watcher: Watcher) -> Learner:
    """Train the experiment's learner, go on where an earlier training stopped, or load it if it has ended.

    Raises
    ------
    LearnerError
        If the learner does not accept the problem or one of the test sets; seen before training begins.
    TrainingError, TrainingInterrupted, RunError
        As `Trainer.fit`.
    """
    if run.trained:
        watcher.say(f"{experiment.learner}: already trained, weights taken from {run.directory}.")
        return run.load_learner()
    learner = ready(experiment, data)

    with watcher.bar(f"training {learner.name}") as advance:

        def show(progress: Progress) -> None:
            error = progress.validation_error
            advance(progress.fraction, "" if error is None else f"validation error {error:.2e}")

        trainer = Trainer(training_config(experiment, type(learner)), run.directory, show)
        if trainer.remaining():
            watcher.say(f"{learner.name}: an unfinished training was found in {run.directory}; it goes on from there.")
        history = learner.fit(data.train, data.validation, trainer)
    if first_process():
        run.save_learner(learner, history)
        trainer.clear()
    return learner


def ready(experiment: Experiment, data: ExperimentData) -> Learner:
    """The untrained learner, once it is seen to fit the data; raises as `train` does."""
    learner = untrained(experiment, data.problem)
    for dataset in (data.validation, *data.tests.values()):
        learner.predict(dataset.inputs.rows(slice(0, 1)))
    return learner


def measure(run: Run, learner: Learner, tests: Mapping[str, Dataset]) -> dict[str, Any]:
    """Errors on every test set, size and times of a trained learner, as flat dotted keys and nested under ``test``."""
    history = run.history()
    metrics: dict[str, Any] = {
        "learner": learner.name,
        "parameters": learner.parameter_count,
        "train_seconds": history.seconds,
        "train_steps": history.steps,
        "validation.relative_l2": history.validation_error,
    }
    nested: dict[str, dict[str, float]] = {}
    for name, dataset in tests.items():
        nested[name] = learner.evaluate(dataset) | rk45_evaluations(learner, dataset.inputs)
        metrics |= {f"test.{name}.{key}": value for key, value in nested[name].items()}
    if tests:
        (first, *_) = tests.values()
        inputs = first.inputs.rows(slice(0, TIMING_SAMPLES)).to(dtype=torch.float32)
        seconds = seconds_per_sample(lambda rows: learner.predict(rows).mean, inputs)
        metrics["predict_ms_per_sample"] = 1e3 * seconds
    return {**metrics, "test": nested}
