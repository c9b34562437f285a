"""A problem and a learner small enough to run whole experiments in a second."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from pde_benchmarks.problem import Batch, FieldSpec, Grid, Problem
from pde_benchmarks.registry import problem_types
from sciml.learner import Learner, Prediction, learner_types

sys.path.append(str(Path(__file__).parent))  # the tests of this folder import `evolutions`


@dataclass(frozen=True)
class Doubling(Problem):
    """The output is twice the input."""

    resolution: int = 8
    name: ClassVar[str] = "doubling"
    tests_finer: ClassVar[bool] = True

    @property
    def grid(self):
        return Grid((self.resolution, self.resolution))

    @property
    def inputs(self):
        return (FieldSpec("source", 1, self.grid),)

    @property
    def outputs(self):
        return (FieldSpec("answer", 1, self.grid),)

    def at_resolution(self, resolution):
        return Doubling(resolution)

    def sample(self, count, generator):
        coarse = torch.rand(count, 1, 4, 4, generator=generator) + 0.5
        return Batch({"source": nn.functional.interpolate(coarse, (self.resolution,) * 2)})

    def solve(self, inputs):
        return Batch({"answer": 2 * inputs["source"]})


@dataclass(frozen=True)
class FactorConfig:
    """How the factor starts."""

    start: float = 1.0


class Factor(Learner):
    """Learns one factor between input and output."""

    name: ClassVar[str] = "factor"
    config_type: ClassVar[type] = FactorConfig
    training_defaults: ClassVar[dict] = {"learning_rate": 0.05}

    def __init__(self, problem, config):
        super().__init__(problem, config)
        self.module = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.module.weight, config.start)

    @classmethod
    def accepts(cls, problem):
        channels = [spec.channels for spec in (*problem.inputs, *problem.outputs)]
        return None if channels == [1, 1] else "it needs one input and one output channel."

    def fit(self, dataset, validation, trainer):
        (x,), (y,) = dataset.inputs.values(), dataset.outputs.values()

        def loss(module, batch, generator):
            return (module(batch["x"]) - batch["y"]).square().mean()

        def error():
            return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]

        return trainer.fit(self.module, loss, {"x": x.float(), "y": y.float()}, error)

    @torch.no_grad()
    def predict(self, inputs, batch_size=32):
        (x,) = inputs.values()
        return Prediction(Batch({self.problem.outputs[0].name: self.module(x.float())}))


class Twin(Factor):
    """The same learner under another name."""

    name: ClassVar[str] = "twin"


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The problem ``doubling`` and the learners ``factor`` and ``twin``, registered; a cache of its own."""
    monkeypatch.setitem(problem_types(), "doubling", Doubling)
    monkeypatch.setitem(learner_types(), "factor", Factor)
    monkeypatch.setitem(learner_types(), "twin", Twin)
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SCIML_DEBUG", raising=False)
    return Doubling()
