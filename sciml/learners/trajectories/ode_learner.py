"""What learners of ordinary differential equations share: how they are trained."""

from __future__ import annotations

from sciml.learners.trajectories.config import TrajectoryConfig
from sciml.learners.trajectories.learner import TrajectoryLearner
from sciml.learners.trajectories.objective import FollowedError
from sciml.learners.trajectories.penalties import penalty_named
from sciml.learners.trajectories.surrogate import Surrogate

__all__ = ["ODELearner"]


class ODELearner(TrajectoryLearner):
    """A state whose dynamics are an ordinary differential equation: one trajectory for every initial state."""

    config: TrajectoryConfig
    module: Surrogate

    def objective(self) -> FollowedError:
        """The relative error of followed states, and the penalty."""
        config = self.config
        times = self.time_scale(self.followed.instants)
        penalty = penalty_named(config.regularizer)
        return FollowedError(times, self.module.scale, self.reconstruction, penalty, config.jitter)
