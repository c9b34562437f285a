"""Learners that follow a state in time: neural ordinary differential equations, on states and on latent states."""

from sciml.learners.trajectories.exported import ExportedDynamics, evaluations_by_rk45
from sciml.learners.trajectories.latent_ode import LatentODE, LatentODEConfig
from sciml.learners.trajectories.neural_ode import NeuralODE, NeuralODEConfig
from sciml.learners.trajectories.penalties import PENALTIES

__all__ = [
    "PENALTIES",
    "ExportedDynamics",
    "LatentODE",
    "LatentODEConfig",
    "NeuralODE",
    "NeuralODEConfig",
    "evaluations_by_rk45",
]
