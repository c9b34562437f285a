"""What learners that follow a state in time share: data, training, prediction at any instants, evaluations."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pde_benchmarks.metrics import relative_l2
from pde_benchmarks.problem import Batch, Problem
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Learner, Prediction
from sciml.learners.neural_ode import SolverError
from sciml.learners.trajectories.config import DynamicsConfig
from sciml.learners.trajectories.exported import ExportedDynamics, evaluations_by_rk45
from sciml.learners.trajectories.followed import FollowedState, followed_state
from sciml.learners.trajectories.latent_states import LatentStates
from sciml.learners.trajectories.objective import Objective
from sciml.learners.trajectories.penalty_weight import PenaltyWeight
from sciml.learners.trajectories.time_scale import TimeScale

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset
    from sciml.training import History, Trainer

__all__ = ["TrajectoryLearner", "not_followed"]

# The statistics and modes of so many states are those of all.
_SNAPSHOTS = 2048
_ROWS = 256


class TrajectoryLearner(Learner):
    """A state whose dynamics are a network, integrated by an adaptive solver that says how hard they are."""

    config: DynamicsConfig
    module: LatentStates

    def __init__(self, problem: Problem, config: DynamicsConfig) -> None:
        super().__init__(problem, config)
        followed = followed_state(problem)
        assert isinstance(followed, FollowedState)  # accepts() saw to it
        self.followed = followed
        self.time_scale = TimeScale(followed.instants[0], followed.instants[-1], config.time)
        self.module = self.build()

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """One state, given at the beginning and asked for at one or more later instants."""
        followed = followed_state(problem)
        return followed if isinstance(followed, str) else None

    @abstractmethod
    def build(self) -> LatentStates:
        """The untrained module."""

    @abstractmethod
    def begin(self, states: Tensor) -> None:
        """Fit statistics to training states ``(count, *shape)``."""

    @property
    def reconstruction(self) -> float:
        """Weight of the autoencoder's own error in the loss."""
        return 0.0

    def fit(self, dataset: Dataset, validation: Dataset, trainer: Trainer) -> History:
        """Train on the trajectories of ``dataset``; statistics and modes are charged to the budget.

        Raises
        ------
        TrainingError
            If a trajectory becomes too hard for the solver, or the loss is not finite.
        """
        if trainer.config.precision != "fp32":
            raise ConfigurationError(
                f"precision = {trainer.config.precision!r}: the solver cannot measure its errors in it; use fp32 "
                "(and dtype=float64 of the learner for tolerances below 1e-6)."
            )
        began = time.perf_counter()
        arrays = self.arrays(dataset)
        states = torch.cat([arrays["initial"][:, None], arrays["frames"]], 1).flatten(0, 1)
        self.module.to("cpu")
        self.begin(_spread(states, _SNAPSHOTS))
        loss, weight = self.objective(), PenaltyWeight(self.config.schedule(), self.module)
        weight.begin()

        def prepare(progress: float) -> None:
            loss.weight, loss.scale = weight.at(progress), self.module.scale

        spent = time.perf_counter() - began
        return trainer.fit(
            self.module, loss, arrays, lambda: self._validated(validation, weight), spent, prepare=prepare
        )

    @abstractmethod
    def objective(self) -> Objective:
        """What is minimised."""

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = _ROWS) -> Prediction:
        """The states at the problem's instants, in the dtype of the initial ones.

        Raises
        ------
        LearnerError
            If initial states have another shape or are not finite, or the solver cannot follow one of them.
        """
        states, _ = self._followed(inputs, self.time_scale(self.followed.instants), batch_size)
        return Prediction(self._as_outputs(states))

    @torch.no_grad()
    def predict_at(self, inputs: Batch, instants: Sequence[float], batch_size: int = _ROWS) -> Prediction:
        """The states ``(samples, time, channel, *grid)`` at any increasing instants after 0.

        In the problem's unit of time; in units of its one instant where it names no time. Raises as `predict` does.
        """
        states, _ = self._followed(inputs, self.time_scale(instants), batch_size)
        return Prediction(Batch({self.followed.later.name: states}))

    @torch.no_grad()
    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """Errors in the problem's metrics, and the evaluations of the right-hand side that a sample takes.

        ``evaluations_mean`` and ``evaluations_worst`` count what our solver does at the learner's tolerances, rejected
        steps included.
        """
        states, evaluations = self._followed(dataset.inputs, self.time_scale(self.followed.instants), _ROWS)
        metrics = self.problem.metrics(Prediction(self._as_outputs(states)).mean, dataset.outputs)
        mean, worst = evaluations.double().mean().item(), float(evaluations.max())
        return {**metrics, "evaluations_mean": mean, "evaluations_worst": worst}

    @torch.no_grad()
    def right_hand_side(self, inputs: Batch) -> ExportedDynamics:
        """The learned right-hand side in scaled time, as a function of NumPy arrays, with its initial states."""
        self.module.eval()
        initial = self._initial(inputs).to(self.module.scale)
        return ExportedDynamics.of(self.module.dynamics, self.module.encoded(initial))

    def evaluations_by_rk45(
        self, inputs: Batch, rtol: float | None = None, atol: float | None = None, count: int | None = None
    ) -> NDArray[np.int64]:
        """Evaluations that SciPy's RK45 needs for each of the first ``count`` samples, by default at our tolerances."""
        rows = inputs if count is None else inputs.rows(slice(0, count))
        rtol = self.config.rtol if rtol is None else rtol
        atol = self.config.atol if atol is None else atol
        return evaluations_by_rk45(self.right_hand_side(rows), rtol, atol)

    def arrays(self, dataset: Dataset) -> dict[str, Tensor]:
        """Initial states ``(count, *shape)`` and later ``frames`` ``(count, M, *shape)``, in the learner's dtype."""
        frames = dataset.outputs[self.followed.later.name]
        frames = frames if self.followed.timed else frames[:, None]
        wanted = (dataset.count, len(self.followed.instants), *self.followed.shape)
        if tuple(frames.shape) != wanted:
            raise LearnerError(
                f"{dataset.name}: field {self.followed.later.name!r} of shape {tuple(frames.shape)}, expected {wanted} "
                "for this problem's instants and grid."
            )
        dtype = self.config.torch_dtype
        return {"initial": self._initial(dataset.inputs).to(dtype), "frames": frames.to(dtype)}

    @torch.no_grad()
    def reconstruction_error(self, dataset: Dataset) -> float:
        """Relative L2 error of the autoencoder alone over the true frames of a sample, the initial one included."""
        arrays = self.arrays(dataset)
        frames = torch.cat([arrays["initial"][:, None], arrays["frames"]], 1).to(self.module.scale)
        return float(relative_l2(self.module.reconstructed(frames), frames).nanmean())

    def _followed(self, inputs: Batch, times: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """States ``(samples, M, *shape)`` in the inputs' dtype and device, and evaluations ``(samples,)``."""
        given = self._initial(inputs)
        self.module.eval()
        states = [given.new_zeros(0, len(times), *self.followed.shape)]
        evaluations = [torch.zeros(0, dtype=torch.int64)]
        for start in range(0, len(given), batch_size):
            rows = given[start : start + batch_size].to(self.module.scale)
            try:
                found = self.module(rows, times.to(rows.device))
            except SolverError as error:
                raise LearnerError(not_followed(start + error.sample, error)) from error
            states.append(found.states.to(given))
            evaluations.append(found.solution.stats.nfe.cpu())
        return torch.cat(states), torch.cat(evaluations)

    def _initial(self, inputs: Batch) -> Tensor:
        field = inputs[self.followed.initial.name]
        if tuple(field.shape[1:]) != self.followed.shape or not field.is_floating_point():
            raise LearnerError(
                f"{self.followed.initial.name}: array of shape {tuple(field.shape)}, {field.dtype}; expected real "
                f"floating-point numbers of shape (samples, {', '.join(map(str, self.followed.shape))}): dynamics are "
                "learned for the states of training only."
            )
        bad = (~field.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        if bad:
            raise LearnerError(
                f"{self.followed.initial.name}: {len(bad)} of {len(field)} samples hold NaN or infinity "
                f"(first: {bad[0]}): clean them first."
            )
        return field

    def _as_outputs(self, states: Tensor) -> Batch:
        return Batch({self.followed.later.name: states if self.followed.timed else states[:, 0]})

    def _validated(self, validation: Dataset, weight: PenaltyWeight) -> float:
        times = self.time_scale(self.followed.instants)
        try:
            states, evaluations = self._followed(validation.inputs, times, _ROWS)
            mean = Prediction(self._as_outputs(states)).mean
        except LearnerError:
            return math.inf  # dynamics of an early stage may explode for a sample that was not trained on
        error = self.problem.metrics(mean, validation.outputs)["relative_l2"]
        weight.observe(evaluations.double().mean().item(), error)
        return error


def _spread(states: Tensor, most: int) -> Tensor:
    """At most so many of the states, evenly spread over them."""
    count = min(len(states), most)
    return states[torch.linspace(0, len(states) - 1, count, dtype=torch.float64).round().long()]


def not_followed(sample: int, error: SolverError) -> str:
    """Why a sample has no prediction, and what to change."""
    cause = error.status.name.lower().replace("_", " ")
    return (
        f"sample {sample} cannot be followed beyond the scaled time {error.t:.3g} ({cause}): is it like "
        "the training data? If so, train with a penalty (regularizer=error), looser rtol and atol, or more max_steps."
    )
