"""What a grid learner is trained on: labelled pairs, the equation itself, or trajectories."""

from sciml.learners.objectives.objective import Objective, field_error
from sciml.learners.objectives.physics_informed import PhysicsInformed
from sciml.learners.objectives.supervised import Supervised
from sciml.learners.objectives.trajectories import Trajectories

__all__ = ["Objective", "PhysicsInformed", "Supervised", "Trajectories", "field_error"]
