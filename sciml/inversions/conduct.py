"""Carry an inversion through: a trained learner, the method's settings, the inference, and its refusal in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pde_benchmarks.registry import configure, find
from sciml.errors import ConfigurationError, InferenceError, RunError
from sciml.experiments import Experiment, Watcher, conduct, train, with_data
from sciml.inference import ChainConfig, LaplaceConfig
from sciml.inference.methods import ADVICE, METHODS, InferenceConfig
from sciml.inverse import FieldPrior, InverseResult, invert
from sciml.inversions.case import Case
from sciml.runs import Run, difference

__all__ = ["carry_out", "method_config", "trained_run"]

# A run is another learner's if these differ; the rest is compared only where it was asked for.
DECISIVE = ("problem", "problem_settings", "learner", "learner_settings")


def trained_run(directory: Path, experiment: Experiment, asked: frozenset[str], watcher: Watcher) -> Run:
    """The run of ``experiment`` in ``directory``: taken as it is, gone on with, or begun.

    Parameters
    ----------
    directory
        Of the run.
    experiment
        What is trained where there is nothing yet.
    asked
        Settings that an earlier run must agree with, beside the problem and the learner.
    watcher
        Follows the training.

    Raises
    ------
    RunError
        If the directory holds something else; and what training raises.
    """
    if (directory / "config.yaml").is_file() and (earlier := Run.open(directory)).begun:
        compared = {*DECISIVE, *asked}
        wanted = {key: value for key, value in experiment.plain().items() if key in compared}
        other = difference({key: earlier.experiment.get(key) for key in compared}, wanted)
        if other:
            raise RunError(
                f"{directory}: another run is there ({other}): use it as it is by `sciml invert {directory}`, or "
                "train in another directory by --run."
            )
        if earlier.trained:
            watcher.say(f"{experiment.learner}: already trained, weights taken from {directory}.")
            return earlier
        watcher.say(f"{directory}: an unfinished run is there; it goes on.")
        run, experiment = earlier, configure(Experiment, earlier.experiment)
    else:
        run = Run.create(directory, experiment.plain(), f"sciml run --config {directory / 'config.yaml'}")
    data = with_data(experiment, watcher)
    if experiment.baselines:  # those of a run that was begun elsewhere are not needed here
        train(run, experiment, data, watcher)
    else:
        conduct(run, experiment, data, watcher)
    return run


def method_config(method: str, settings: Mapping[str, Any]) -> InferenceConfig:
    """The configuration of a method; ``map.steps`` stands for ``steps`` within ``map``.

    Raises
    ------
    ConfigurationError
        If the method or a key is unknown (the known ones are listed), or a value of another type or out of range.

    Examples
    --------
    >>> method_config("laplace", {"draws": 50, "map.starts": 2}).map.starts
    2
    """
    kind = find(METHODS, method, "method").config_type
    nested: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        group, dot, inner = key.partition(".")
        if dot:
            nested.setdefault(group, {})[inner] = value
    plain = {key: value for key, value in settings.items() if "." not in key}
    for group, values in nested.items():
        inside = {field.name: field for field in dataclasses.fields(kind)}.get(group)
        if inside is None or not callable(inside.default_factory):
            raise ConfigurationError(f"method setting {group}.{next(iter(values))}: {method} has no group {group!r}.")
        plain[group] = configure(type(inside.default_factory()), values)
    config: InferenceConfig = configure(kind, plain)
    return config


def carry_out(
    prior: FieldPrior, case: Case, method: str, config: InferenceConfig, seed: int, watcher: Watcher
) -> InverseResult:
    """Invert a case.

    Raises
    ------
    InferenceError
        If the inference has not converged, with the option that mends it; and what `invert` raises.
    """
    generator = torch.Generator().manual_seed(seed)
    with watcher.bar(f"inverting by {method}") as advance:
        try:
            return invert(prior, case.observation, method, config, generator=generator, progress=advance)
        except InferenceError as error:
            words = str(error).replace(ADVICE, f"{_option(config)} Nothing was written.")
            raise InferenceError(words, error.result) from None


def _option(config: InferenceConfig) -> str:
    """What to write on the command line to give an inference twice the work."""
    if isinstance(config, ChainConfig):
        return f"For example --method-set draws={2 * config.draws} --method-set warmup={2 * config.warmup}."
    if isinstance(config, LaplaceConfig):
        return f"For example --method-set map.steps={2 * config.map.steps}."
    return f"For example --method-set steps={2 * config.steps}."
