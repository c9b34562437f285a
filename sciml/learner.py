"""What a learner is, and the registry through which the command line and other packages find one."""

from __future__ import annotations

import dataclasses
import json
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn

from pde_benchmarks.installed import installed
from pde_benchmarks.metrics import coverage
from pde_benchmarks.problem import Batch, Problem
from pde_benchmarks.registry import configure, describe_problem, find, rebuild_problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import LearnerError, RunError
from sciml.files import read_json, read_tensors, write_json, write_tensors
from sciml.module_state import module_tensors

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.inverse import FieldPrior
    from sciml.training import History, Trainer

__all__ = ["Learner", "Prediction", "learner_types", "load"]

SCHEMA = 1


@dataclass(frozen=True)
class Prediction:
    """Predicted fields: their mean, and where the learner offers them a standard deviation and samples.

    Raises
    ------
    LearnerError
        If the mean is not finite.
    """

    mean: Batch
    std: Batch | None = None
    samples: Batch | None = None

    def __post_init__(self) -> None:
        for name, field in self.mean.items():
            bad = (~field.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
            if bad:
                raise LearnerError(
                    f"prediction {name!r} is NaN or infinite in {len(bad)} of {len(field)} samples (first: {bad[0]}): "
                    "check that these inputs are like those of training, or train again with a smaller learning rate."
                )


class Learner(ABC):
    """A trainable map from a problem's inputs to its outputs.

    A learner is its configuration, the problem it was built for, and one ``torch.nn.Module`` that holds everything
    learned (weights, normalisation), so that saving the module saves the learner. ``training_defaults`` are the values
    of `sciml.training.TrainingConfig` that suit it best. One that ``denoises`` learns from clean fields alone, so that
    any folder of images will do as its data. ``capabilities`` are what it offers beside predictions; training by
    `sciml.training.Trainer` works on several processes.
    """

    name: ClassVar[str]
    config_type: ClassVar[type]
    training_defaults: ClassVar[dict[str, Any]] = {}
    denoises: ClassVar[bool] = False
    capabilities: ClassVar[Capabilities] = Capabilities(processes=Offer())
    module: nn.Module

    def __init__(self, problem: Problem, config: Any) -> None:
        self.problem = problem
        self.config = config

    @classmethod
    @abstractmethod
    def accepts(cls, problem: Problem) -> str | None:
        """None if this learner can learn ``problem``, else one sentence that says why not."""

    @classmethod
    def missing(cls) -> str | None:
        """None if everything that this learner needs is installed, else one sentence with the command to install it."""
        return None

    @classmethod
    def from_problem(cls, problem: Problem, config: Any = None, seed: int = 0) -> Self:
        """Build an untrained learner whose shapes come from the problem's specification.

        Raises
        ------
        LearnerError
            If the learner does not accept the problem, or a package that it needs is not installed.
        """
        missing = cls.missing()
        if missing is not None:
            raise LearnerError(missing)
        refusal = cls.accepts(problem)
        if refusal is not None:
            raise LearnerError(f"{cls.name} cannot learn {problem.name}: {refusal}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(problem, config if config is not None else cls.config_type())

    @abstractmethod
    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Learn from ``dataset``; ``validation`` is only watched."""

    @abstractmethod
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """Predict the outputs of every sample, on the learner's own device."""

    def field_prior(self) -> FieldPrior:
        """What is unknown in an inverse problem: generates inputs and their outputs from latents.

        Raises
        ------
        LearnerError
            If the learner knows no law of its inputs, or nothing of the problem is observed at points.
        """
        raise LearnerError(f"{self.name} has no prior of inputs, so it cannot invert measurements: use dgno.")

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """Errors on a held-out data set, in the problem's own metrics.

        With error bars also ``coverage_90``: the fraction of all values that lie in their 90 % intervals.
        """
        prediction = self.predict(dataset.inputs)
        metrics = self.problem.metrics(prediction.mean, dataset.outputs)
        if prediction.std is not None:
            covered = [coverage(prediction.mean[k], std, dataset.outputs[k]) for k, std in prediction.std.items()]
            metrics["coverage_90"] = torch.stack(covered).mean().item()
        return metrics

    def labels_read(self, samples: int) -> int:
        """How many reference solutions of so many training samples `fit` reads."""
        labels = getattr(self.config, "labels", None)
        return samples if labels is None else int(labels)

    @property
    def parameter_count(self) -> int:
        """Number of trainable real numbers (a complex one counts twice)."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.module.parameters() if p.requires_grad)

    def description(self) -> dict[str, Any]:
        """Everything but the weights, ready for JSON: what `load` needs to rebuild the learner."""
        return {
            "schema": SCHEMA,
            "learner": self.name,
            "config": dataclasses.asdict(self.config),
            "problem": describe_problem(self.problem),
        }

    def save(self, directory: Path | str) -> None:
        """Write ``learner.json`` and ``weights.safetensors``, each atomically."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_tensors(directory / "weights.safetensors", module_tensors(self.module))
        description = self.description()
        write_json(directory / "learner.json", {**description, "checksum": _checksum(description)})

    def read_weights(self, path: Path) -> None:
        """Fill the module from a weights file.

        Raises
        ------
        RunError
            If names or shapes differ from this learner's.
        """
        found = read_tensors(path)
        wanted = module_tensors(self.module)
        missing = sorted(set(wanted) - set(found))
        foreign = sorted(set(found) - set(wanted))
        reshaped = [k for k in wanted if k in found and wanted[k].shape != found[k].shape]
        if missing or foreign or reshaped:
            raise RunError(
                f"{path}: not the weights of this {self.name} (missing {missing[:3]}, unknown {foreign[:3]}, "
                f"other shape {reshaped[:3]}): load them with the configuration they were trained with."
            )
        self.module.load_state_dict(found)


def load(directory: Path | str) -> Learner:
    """Rebuild a trained learner from a directory that `Learner.save` or a run wrote.

    Raises
    ------
    RunError
        If the directory holds no learner, one of a newer schema, or one that is not installed.
    """
    directory = Path(directory)
    if not (directory / "learner.json").is_file():
        raise RunError(f"{directory}: no learner.json, so this is not a finished run: train one with `sciml run`.")
    description = _read_description(directory / "learner.json")
    schema = description.get("schema")
    if schema != SCHEMA:
        raise RunError(f"{directory}: written with schema {schema}, this version reads {SCHEMA}: update sciml-pde.")
    kind = find(learner_types(), description["learner"], "learner")
    learner = kind.from_problem(
        rebuild_problem(description["problem"]), configure(kind.config_type, description["config"])
    )
    learner.read_weights(directory / "weights.safetensors")
    return learner


def _read_description(path: Path) -> dict[str, Any]:
    """What `Learner.save` wrote, its checksum verified."""
    description = read_json(path)
    if not isinstance(description, dict):
        raise RunError(f"{path}: not the description of a learner.")
    checksum = description.pop("checksum", None)
    known = {"schema", "learner", "config", "problem"} <= description.keys()
    # A newer schema is named as such: what its checksum is of is not known here.
    if description.get("schema") == SCHEMA and (not known or checksum not in (None, _checksum(description))):
        raise RunError(
            f"{path}: its checksum does not match: the file was changed or damaged; restore it or train again."
        )
    return description


def _checksum(description: dict[str, Any]) -> int:
    """CRC-32 of everything but the checksum itself."""
    plain = json.loads(json.dumps(description))  # as it will be read: tuples are lists, keys are text
    return zlib.crc32(json.dumps(plain, sort_keys=True).encode())


@cache
def learner_types() -> dict[str, type[Learner]]:
    """Installed learners by name (entry-point group ``sciml.learners``); a warning names any that cannot be loaded."""
    return installed("sciml.learners")
