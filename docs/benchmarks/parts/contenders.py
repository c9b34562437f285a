"""Contenders of a comparison: learners with settings, each trained into a run directory of its own and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sciml.experiments import Experiment, ExperimentData, Silent, measure, train, with_data
from sciml.learner import Learner
from sciml.runs import Run

__all__ = ["Case", "Contender", "Scale", "best_of", "data_of", "trained"]

L2 = "test.held_out.relative_l2"


@dataclass(frozen=True)
class Contender:
    """A learner, its settings and those of its training."""

    learner: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """How large the benchmark is: full, or quick for a smoke run whose numbers mean nothing.

    ``budget`` is in seconds of training; ``steps``, where given, takes its place.
    """

    budget: float = 40.0
    steps: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    threads: int | None = 1
    small: bool = False

    @classmethod
    def quick(cls) -> Scale:
        """Seconds for everything."""
        return cls(0.5, seeds=(0,), small=True)


@dataclass(frozen=True)
class Case:
    """A problem, its numbers of samples, and by family (mgno, fno, …) the contenders, each under a label.

    ``tiny`` are the problem's settings for a smoke run.
    """

    name: str
    problem: str
    settings: Mapping[str, Any]
    samples: tuple[int, int]
    families: Mapping[str, Mapping[str, Contender]]
    tiny: Mapping[str, Any]

    def experiment(self, scale: Scale, contender: Contender, seed: int = 0, **changes: Any) -> Experiment:
        """One training: with one thread, so that the budget is processor time."""
        settings = {**self.settings, **(self.tiny if scale.small else {})}
        samples, test_samples = (8, 4) if scale.small else self.samples
        values = {
            "learner": contender.learner,
            "problem": self.problem,
            "problem_settings": settings,
            "learner_settings": dict(contender.settings),
            "training": dict(contender.training),
            "budget_seconds": scale.budget,
            "steps": scale.steps,
            "seed": seed,
            "samples": samples,
            "test_samples": test_samples,
            "threads": scale.threads,
        }
        return Experiment(**{**values, **changes})


_GENERATED: dict[tuple[str, bool], ExperimentData] = {}


def data_of(case: Case, scale: Scale) -> ExperimentData:
    """Training, validation and test samples of a case, generated once a process."""
    key = (case.name, scale.small)
    if key not in _GENERATED:
        print(f"{case.name}: data", flush=True)
        (family, *_) = case.families.values()
        (contender, *_) = family.values()
        _GENERATED[key] = with_data(case.experiment(scale, contender), Silent())
    return _GENERATED[key]


def trained(
    case: Case, scale: Scale, label: str, contender: Contender, seed: int, data: ExperimentData, work: Path
) -> tuple[Learner, dict[str, Any]]:
    """Train and measure a contender, or read what an earlier call left: a stopped benchmark goes on."""
    experiment = case.experiment(scale, contender, seed)
    if scale.threads is not None:
        torch.set_num_threads(scale.threads)
    name = label.replace(" ", "-").replace(",", "")
    run = Run.create(work / case.name / f"{name}-seed{seed}", experiment.plain())
    learner = train(run, experiment, data, Silent())
    if not (run.directory / "metrics.json").is_file():
        metrics = measure(run, learner, data.tests)
        run.write_metrics(metrics)
        print(f"{case.name}: {label}, seed {seed}: {metrics[L2]:.3%} after {metrics['train_steps']} steps", flush=True)
    return learner, run.metrics()


def best_of(
    case: Case, scale: Scale, family: Mapping[str, Contender], data: ExperimentData, work: Path
) -> tuple[str, list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The variant with the smallest validation error of the first seed, measured with all seeds; and all first ones."""
    first = {name: trained(case, scale, name, one, scale.seeds[0], data, work)[1] for name, one in family.items()}
    best = min(first, key=lambda name: first[name]["validation.relative_l2"])
    others = [trained(case, scale, best, family[best], seed, data, work)[1] for seed in scale.seeds[1:]]
    return best, [first[best], *others], first
