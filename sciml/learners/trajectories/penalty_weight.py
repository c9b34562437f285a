"""The weight of the penalty during training; what it remembers lives in the module, hence in every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from sciml.learners.neural_ode import ConstantSchedule, ExponentialSchedule, NFEBudgetSchedule
from sciml.learners.trajectories.latent_states import LatentStates

__all__ = ["PenaltyWeight"]


@dataclass(frozen=True)
class PenaltyWeight:
    """A schedule that goes on rightly when a training is resumed.

    Parameters
    ----------
    schedule
        Called with the progress in [0, 1].
    module
        Keeps the state of a schedule that learns from validations.
    """

    schedule: ConstantSchedule | ExponentialSchedule | NFEBudgetSchedule
    module: LatentStates

    def begin(self) -> None:
        """Forget what an earlier training left."""
        if isinstance(self.schedule, NFEBudgetSchedule):
            self.module.budget.copy_(torch.tensor([self.schedule.weight, math.inf], dtype=torch.float64))

    def at(self, progress: float) -> float:
        """Weight of the next step."""
        self._recall()
        return self.schedule(progress)

    def observe(self, evaluations: float, error: float) -> None:
        """Take in a validation: mean evaluations of a sample, and the error."""
        if isinstance(self.schedule, NFEBudgetSchedule):
            self._recall()
            self.schedule.observe(evaluations, error)
            state = self.schedule.state()
            self.module.budget.copy_(torch.tensor([state["weight"], state["best_error"]], dtype=torch.float64))

    def _recall(self) -> None:
        if isinstance(self.schedule, NFEBudgetSchedule):
            weight, best = self.module.budget.tolist()
            self.schedule.restore({"weight": weight, "best_error": best})
