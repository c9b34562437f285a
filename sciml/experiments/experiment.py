"""What one experiment is: the plain values in ``config.yaml`` that decide everything it computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from pde_benchmarks.problem import Problem
from pde_benchmarks.registry import configure, find, problem_types
from sciml.errors import ConfigurationError
from sciml.learner import Learner, learner_types
from sciml.training import TrainingConfig

__all__ = [
    "Experiment",
    "beside",
    "build_problem",
    "default_baselines",
    "default_learner",
    "training_config",
    "untrained",
]

# In this order of preference, the first that accepts the problem.
_PREFERRED = ("mgno", "mgno-data")


@dataclass(frozen=True)
class Experiment:
    """One learner on one problem or on recorded data, with the baselines beside it.

    Parameters
    ----------
    problem, problem_settings
        A registered problem and its configuration; or else `data`.
    learner, learner_settings
        A registered learner and its configuration.
    baselines
        Learners trained beside it with their default configuration, under the same budget.
    budget_seconds, steps
        Training budget; `steps`, where given, decides.
    training
        Further settings of `sciml.training.TrainingConfig`.
    seed
        Seed of weights, batches and augmentation. The data does not depend on it.
    samples, test_samples
        How many samples of the problem are generated; None for what is usual for the problem.
    threads
        Threads of the processor; None leaves the choice to torch. With one, the budget is processor time.
    data, test_data
        Files of recorded pairs; of a learner that denoises, folders of images or files of fields, of which
        `problem_settings` are `pde_benchmarks.imaging.image_folder.ReadingOptions`.
    input_name, output_name, alignment
        What in these files is the input, what the output, and where the grid points lie, if it cannot be told.

    Raises
    ------
    ConfigurationError
        If neither or both of `problem` and `data` are given, or a number is out of range.
    """

    learner: str
    problem: str | None = None
    problem_settings: dict[str, Any] = field(default_factory=dict)
    learner_settings: dict[str, Any] = field(default_factory=dict)
    baselines: list[str] = field(default_factory=list)
    budget_seconds: float = 60.0
    steps: int | None = None
    training: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    samples: int | None = None
    test_samples: int | None = None
    threads: int | None = None
    data: str | None = None
    test_data: list[str] = field(default_factory=list)
    input_name: str | None = None
    output_name: str | None = None
    alignment: str | None = None

    def __post_init__(self) -> None:
        if (self.problem is None) == (self.data is None):
            raise ConfigurationError("name a problem, e.g. `sciml run darcy`, or give a file by --data; not both.")
        if self.data is not None and not self.test_data and not self.learns_from_images:
            raise ConfigurationError("--data without --test-data: give at least one file of pairs to test on.")
        for name in ("samples", "test_samples", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} = {value}: at least 1 is needed.")

        if self.seed < 0:
            raise ConfigurationError(f"seed = {self.seed}: a whole number, at least 0, is expected.")

    @property
    def learns_from_images(self) -> bool:
        """Whether `data` is images, from which the learner learns denoising: some are kept back to test on."""
        return self.data is not None and getattr(learner_types().get(self.learner), "denoises", False)

    def plain(self) -> dict[str, Any]:
        """As plain values, for ``config.yaml``."""
        return dataclasses.asdict(self)


def build_problem(name: str, settings: dict[str, Any]) -> Problem:
    """A registered problem with the given configuration; ConfigurationError lists what is known."""
    problem: Problem = configure(find(problem_types(), name, "problem"), settings)
    return problem


def training_config(experiment: Experiment, learner: type[Learner]) -> TrainingConfig:
    """The learner's own training defaults, then the experiment's settings, then its budget."""
    own = set(experiment.training) & {"seed", "steps", "budget_seconds", "clock"}
    if own:
        raise ConfigurationError(
            f"training setting {sorted(own)[0]!r} is an option of its own: see `sciml run --help`."
        )
    values = {
        **learner.training_defaults,
        **experiment.training,
        "budget_seconds": experiment.budget_seconds,
        "steps": experiment.steps,
        "seed": experiment.seed,
        "clock": "cpu" if experiment.threads == 1 else "wall",
    }
    config: TrainingConfig = configure(TrainingConfig, values)
    return config


def untrained(experiment: Experiment, problem: Problem) -> Learner:
    """The experiment's learner as it is before training: whatever forbids to build it is said here.

    Raises
    ------
    ConfigurationError
        If the learner is unknown, or its configuration cannot be used, on this grid or at all.
    LearnerError
        If it does not accept the problem, or a package that it needs is not installed.
    """
    kind: type[Learner] = find(learner_types(), experiment.learner, "learner")
    training_config(experiment, kind)
    return kind.from_problem(problem, configure(kind.config_type, experiment.learner_settings), experiment.seed)


def beside(experiment: Experiment) -> list[Experiment]:
    """The experiments of the baselines: the same, with learners in their default configuration."""
    return [
        dataclasses.replace(experiment, learner=name, learner_settings={}, baselines=[])
        for name in experiment.baselines
    ]


def default_learner(problem: Problem) -> str:
    """The learner that is trained when none is named.

    Raises
    ------
    ConfigurationError
        If no installed learner accepts the problem.
    """
    known = learner_types()
    for name in (*_PREFERRED, *sorted(known)):
        if name in known and known[name].accepts(problem) is None:
            return name
    raise ConfigurationError(f"no installed learner accepts {problem.name}: known are {', '.join(sorted(known))}.")


def default_baselines(problem: Problem, learner: str) -> tuple[list[str], str]:
    """Learners to train beside ``learner``, and one sentence about the choice (empty where there was none)."""
    known = learner_types()
    missing = known["fno"].missing()
    wanted = ["mgno-data", "unet" if missing else "fno"]
    chosen = [n for n in wanted if n in known and n != learner and known[n].accepts(problem) is None]
    refused = {n: known[n].accepts(problem) for n in wanted if n in known and n != learner}
    if not chosen and refused:
        name, why = next(iter(refused.items()))
        return [], f"no baselines: none of {', '.join(refused)} can learn {problem.name} ({name}: {why})"
    if not missing or "unet" not in chosen:
        return chosen, ""
    return chosen, f"baseline unet, because {missing}"
