"""A learner of one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pde_benchmarks.problem import Batch
from sciml.learner import Learner, Prediction


@dataclass(frozen=True)
class OneFactorConfig:
    """How the factor starts."""

    start: float = 1.0


class OneFactor(Learner):
    """The output is the input times one number."""

    name: ClassVar[str] = "one-factor"
    config_type: ClassVar[type] = OneFactorConfig
    training_defaults: ClassVar[dict] = {"learning_rate": 0.02}

    def __init__(self, problem, config):
        super().__init__(problem, config)
        self.module = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.module.weight, config.start)

    @classmethod
    def accepts(cls, problem):
        specs = (*problem.inputs, *problem.outputs)
        alike = len(specs) == 2 and specs[0].support == specs[1].support and specs[0].channels == specs[1].channels
        return None if alike else "it needs one input and one output of the same kind."

    def fit(self, dataset, validation, trainer):
        (x,), (y,) = dataset.inputs.values(), dataset.outputs.values()

        def loss(module, batch, generator):
            return (module(batch["x"][..., None])[..., 0] - batch["y"]).square().mean()

        def error():
            return self.problem.metrics(self.predict(validation.inputs).mean, validation.outputs)["relative_l2"]

        return trainer.fit(self.module, loss, {"x": x.float(), "y": y.float()}, error)

    @torch.no_grad()
    def predict(self, inputs, batch_size=32):
        (x,) = inputs.values()
        (spec,) = self.problem.outputs
        return Prediction(Batch({spec.name: self.module(x.float()[..., None])[..., 0]}))
