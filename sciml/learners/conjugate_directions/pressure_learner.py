"""What learners of the pressure equation share: they speed up a solver, and predict what it solves to a tolerance."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from pde_benchmarks.pressure import PressurePoisson
from pde_benchmarks.problem import Batch, Problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Learner, Prediction
from solvers import DiffusionOperator, Inverse, LinearOperator, Solution

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["PressureConfig", "PressureLearner", "require_grid"]


@dataclass(frozen=True)
class PressureConfig:
    """How a learner of the pressure equation predicts.

    Parameters
    ----------
    rtol
        Relative residual that its solve reaches.
    max_iterations
        Limit of its steps.
    """

    rtol: float = 1e-4
    max_iterations: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.rtol < 1:
            raise ConfigurationError(f"rtol = {self.rtol}: a relative tolerance between 0 and 1 is expected.")
        if self.max_iterations < 1:
            raise ConfigurationError(f"max_iterations = {self.max_iterations}: at least 1 step is expected.")


class PressureLearner(Learner):
    """A learned part of a solver; a recipe for `linear_solve` itself, by its `setup`."""

    capabilities: ClassVar[Capabilities] = Capabilities(resolution_change=Offer(), no_labels=Offer(), processes=Offer())
    config: PressureConfig
    problem: PressurePoisson

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """The pressure equation on solid, fluid and open cells, in two or three dimensions."""
        if not isinstance(problem, PressurePoisson):
            return "it learns how to solve the pressure equation: use the problem pressure."
        return None

    @abstractmethod
    def setup(self, A: LinearOperator) -> Inverse:
        """What is learned, for the systems of A: the learner is a recipe that `linear_solve` takes.

        Raises
        ------
        LearnerError
            A is no `DiffusionOperator`, or one of another dimension.
        """

    @abstractmethod
    def solve(self, A: DiffusionOperator, b: Tensor, throw: bool = True) -> Solution:
        """A x = b to the tolerance of the configuration, by the method that this learner is made for."""

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32) -> Prediction:
        """The pressure, to the tolerance of the configuration, on whatever grid the inputs have.

        Raises
        ------
        LearnerError
            Another number of axes, NaN, or a grid that the network cannot be applied to.
        ProblemError
            There is no pressure for these inputs.
        SolveError
            A system was not solved within the iterations allowed.
        """
        rhs = inputs["rhs"]
        parts = [rhs[:0], *(solution.value.reshape(b.shape) for b, solution in self._solved(inputs, batch_size))]
        return Prediction(Batch({"pressure": torch.cat(parts)}))

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """The problem's metrics, then the steps that its solves took."""
        parts, steps = [], []
        for b, solution in self._solved(dataset.inputs, 32):
            parts.append(solution.value.reshape(b.shape))
            steps.append(solution.stats.iterations.double())
        prediction = Prediction(Batch({"pressure": torch.cat(parts)}))
        return self.problem.metrics(prediction.mean, dataset.outputs) | {"iterations": torch.cat(steps).mean().item()}

    def _solved(self, inputs: Batch, batch_size: int) -> Iterator[tuple[Tensor, Solution]]:
        """Right-hand sides and solutions, some samples at a time, on the learner's device.

        In double precision: in single precision the residual of a smooth pressure cannot fall to 1e-4.
        """
        self._check_inputs(inputs)
        self.module.eval()
        device = next(self.module.parameters()).device
        for start in range(0, inputs.count, batch_size):
            rows = inputs.rows(slice(start, start + batch_size))
            there = rows.to(device, torch.float64)
            A = self.problem.operator(there)
            solution = self.solve(A, A.project(self.problem.load(there)))
            yield rows["rhs"], _moved(solution, rows["rhs"])

    def _check_inputs(self, inputs: Batch) -> None:
        d = self.problem.dimension
        for name in ("cells", "rhs"):
            field = inputs[name]
            if field.ndim != d + 2 or field.shape[1] != 1 or field.shape != inputs["rhs"].shape:
                axes = ", ".join(f"n{axis}" for axis in "xyz"[:d])
                raise LearnerError(f"{name}: array of shape {tuple(field.shape)}, expected (samples, 1, {axes}).")
        if inputs.count:
            self.problem.check(inputs)


def require_grid(A: LinearOperator, dimension: int, name: str) -> DiffusionOperator:
    """A as a diffusion on a grid of this dimension.

    Raises
    ------
    LearnerError
        It is something else.
    """
    if not isinstance(A, DiffusionOperator):
        raise LearnerError(f"{name}: {type(A).__name__} has no grid; build the operator by pressure_operator.")
    if len(A.grid) != dimension:
        raise LearnerError(
            f"{name}: the operator's grid {'×'.join(map(str, A.grid))} has {len(A.grid)} dimensions, and this was made "
            f"for {dimension}; train one on a problem of dimension {len(A.grid)}."
        )
    return A


def _moved(solution: Solution, like: Tensor) -> Solution:
    """The solution on the device and in the precision of a tensor."""
    return Solution(solution.value.to(like), solution.status.to(like.device), solution.stats)
