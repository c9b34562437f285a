"""Learners that follow a state in time: neural differential equations, ordinary and stochastic, on (latent) states."""

from sciml.learners.trajectories.exported import ExportedDynamics, evaluations_by_rk45
from sciml.learners.trajectories.latent_ode import LatentODE, LatentODEConfig
from sciml.learners.trajectories.latent_sde import LatentSDE, LatentSDEConfig
from sciml.learners.trajectories.neural_ode import NeuralODE, NeuralODEConfig
from sciml.learners.trajectories.penalties import PENALTIES

__all__ = [
    "PENALTIES",
    "ExportedDynamics",
    "LatentODE",
    "LatentODEConfig",
    "LatentSDE",
    "LatentSDEConfig",
    "NeuralODE",
    "NeuralODEConfig",
    "evaluations_by_rk45",
]
