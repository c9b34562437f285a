"""What learners of denoising share: they see clean fields, and draw their own noise."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.imaging.denoising import DenoisingProblem
from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch, Grid, Problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import LearnerError
from sciml.learner import Learner, Prediction

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["DenoisingLearner"]


class DenoisingLearner(Learner):
    """A network from noisy to clean fields, trained with fresh noise in every step.

    Networks see fields in units of their range, whatever the unit of the problem.
    """

    denoises: ClassVar[bool] = True
    capabilities: ClassVar[Capabilities] = Capabilities(resolution_change=Offer(), processes=Offer())
    problem: DenoisingProblem

    def __init__(self, problem: Problem, config: Any) -> None:
        super().__init__(problem, config)
        assert isinstance(problem, DenoisingProblem)
        support = problem.clean.support
        assert isinstance(support, Grid)
        self.dim, self.channels = support.dim, problem.clean.channels
        self.module = self.build()

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Fields with white noise, on grids in one to three dimensions."""
        if not isinstance(problem, DenoisingProblem):
            return (
                "it learns to remove noise from fields: use the problem denoising, e.g. with law="
                f"{problem.name}:{problem.inputs[0].name}, or a folder of images as --data."
            )
        support = problem.clean.support
        if not isinstance(support, Grid) or not 1 <= support.dim <= 3:
            return "it needs fields on a grid in one to three dimensions."
        return None

    @abstractmethod
    def build(self) -> nn.Module:
        """The untrained network of fields ``(batch, channels, *grid)``."""

    @abstractmethod
    def denoised(self, v: Tensor) -> Tensor:
        """The network's answer to fields in units of their range."""

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the clean fields of ``dataset``."""
        clean = self._in_units(dataset.outputs[self.problem.clean.name]).to(torch.float32)
        self.begin(clean, trainer.config.seed)
        history = trainer.fit(
            self.module, self.loss, {"clean": clean}, lambda: self._error(validation), prepare=self.prepare
        )
        self.finish()
        return history

    def begin(self, clean: Tensor, seed: int) -> None:
        """Called with the clean fields before the first step."""

    def prepare(self, progress: float) -> None:
        """Called before every step."""

    def finish(self) -> None:
        """Called after the last step."""

    def loss(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """Of the network's error at fields with fresh noise."""
        clean = batch["clean"]
        return self.loss_of(module(self.noisy(clean, generator)) - clean)

    @abstractmethod
    def loss_of(self, error: Tensor) -> Tensor:
        """Of ``(batch, channels, *grid)`` errors in units of the range."""

    def noisy(self, clean: Tensor, generator: Generator) -> Tensor:
        """Fields with fresh noise of the problem's level."""
        noise = torch.randn(clean.shape, generator=generator, dtype=torch.float32).to(clean)
        return clean + self.problem.noise * noise

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """The fields without their noise, in the dtype of the noisy ones.

        Raises
        ------
        LearnerError
            If the fields have other channels or axes, or are not finite.
        """
        return self.predicted(self.checked(inputs["noisy"]), batch_size, lambda v, _: self.denoised(v))

    def predicted(self, given: Tensor, batch_size: int, answer: Callable[[Tensor, slice], Tensor]) -> Prediction:
        """What ``answer`` makes of rows of fields in units of their range, put together and in their own unit."""
        self.module.eval()
        parameter = next(self.module.parameters())
        parts = [given[:0]]
        for first in range(0, len(given), batch_size):
            rows = slice(first, first + batch_size)
            v = self._in_units(given[rows]).to(parameter)
            parts.append((self.problem.peak * answer(v, rows)).to(given))
        return Prediction(Batch({self.problem.clean.name: torch.cat(parts)}))

    def checked(self, given: Tensor) -> Tensor:
        """Noisy fields, if they are such as the network was built for; else raise `LearnerError`."""
        if given.ndim != 2 + self.dim or given.shape[1] != self.channels or not given.is_floating_point():
            raise LearnerError(
                f"noisy fields of shape {tuple(given.shape)}, {given.dtype}: this {self.name} was built for "
                f"{self.channels} channels on grids in {self.dim} dimensions, (samples, {self.channels}, "
                f"{', '.join('n' * self.dim)}), of real floating-point numbers."
            )
        if not bool(given.isfinite().all()):
            raise LearnerError("noisy fields hold NaN or infinite values: fill or remove these samples.")
        return given

    def _in_units(self, field: Tensor) -> Tensor:
        return field / self.problem.peak

    def _error(self, validation: Dataset) -> float:
        found = self.predict(validation.inputs).mean[self.problem.clean.name]
        error = float(relative_l2(found, validation.outputs[self.problem.clean.name].to(found)).nanmean())
        return error if math.isfinite(error) else math.inf
