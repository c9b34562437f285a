"""The evaluations of a learned right-hand side, counted by a solver that is not ours."""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from pde_benchmarks.problem import Batch
from sciml.errors import LearnerError
from sciml.learner import Learner

__all__ = ["rk45_evaluations"]

# One sample at a time, so few of them must do.
SAMPLES = 4
# Beyond, an explicit method is the wrong one, and would take minutes.
MOST = 8000


def rk45_evaluations(learner: Learner, inputs: Batch) -> dict[str, float]:
    """``evaluations_rk45``: what SciPy's RK45 takes for one of the first samples, on average, at equal tolerances.

    Empty for learners that solve no ordinary differential equation, and where the method needs more than `MOST`
    evaluations for these samples or gives up.
    """
    from sciml.learners.trajectories import evaluations_by_rk45
    from sciml.learners.trajectories.ode_learner import ODELearner

    if not isinstance(learner, ODELearner):
        return {}
    exported = learner.right_hand_side(inputs.rows(slice(0, SAMPLES)))
    patient = dataclasses.replace(exported, network=_Patient(exported.network))
    try:
        counts = evaluations_by_rk45(patient, learner.config.rtol, learner.config.atol)
    except LearnerError:
        return {}
    return {"evaluations_rk45": float(counts.mean())}


class _Patient(nn.Module):
    """Dynamics that are evaluated only so often."""

    def __init__(self, dynamics: nn.Module) -> None:
        super().__init__()
        self.dynamics = dynamics
        self.left = MOST

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise LearnerError(f"more than {MOST} evaluations.")
        slope: Tensor = self.dynamics(t, z)
        return slope
