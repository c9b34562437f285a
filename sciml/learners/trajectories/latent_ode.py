"""Neural ordinary differential equations in a latent space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from sciml.learners.trajectories.autoencoders import autoencoder_named
from sciml.learners.trajectories.config import TrajectoryConfig
from sciml.learners.trajectories.dynamics import DenseDynamics
from sciml.learners.trajectories.latent_space import LatentSpaceConfig
from sciml.learners.trajectories.ode_learner import ODELearner
from sciml.learners.trajectories.surrogate import Surrogate

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["LatentODE", "LatentODEConfig"]


@dataclass(frozen=True)
class LatentODEConfig(LatentSpaceConfig, TrajectoryConfig):
    """As `TrajectoryConfig`, and the latent space as `LatentSpaceConfig` has it."""


class LatentODE(ODELearner):
    """State → latent state → dynamics of a perceptron in the latent space → state.

    The encoder sees the initial state alone. The autoencoder begins as the orthogonal projection onto the leading modes
    of the training data, so that reconstruction is right from the start.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.burgers import Burgers
    >>> learner = LatentODE.from_problem(Burgers(resolution=32), LatentODEConfig(latent=4))
    >>> u0 = learner.problem.sample(2, torch.Generator().manual_seed(0))
    >>> learner.right_hand_side(u0).initial.shape
    (2, 4)
    """

    name: ClassVar[str] = "latent-ode"
    config_type: ClassVar[type] = LatentODEConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-2, "batch_size": 64}
    config: LatentODEConfig

    def build(self) -> Surrogate:
        """Coefficients of modes are integrated."""
        c, shape = self.config, self.followed.shape
        latent = min(c.latent, math.prod(shape))
        autoencoder = autoencoder_named(c.autoencoder)(shape, latent, c.width)
        dynamics = DenseDynamics(latent, c.width, c.depth, c.activation)
        return Surrogate(shape, autoencoder, dynamics, c.solver, c.torch_dtype)

    def begin(self, states: Tensor) -> None:
        """Standardise channels, then find the modes."""
        self.module.fit_statistics(states, centred=True)
        self.module.autoencoder.begin(self.module.standardised(states))

    @torch.no_grad()
    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """As any learner of trajectories does, and ``reconstruction_l2``: what the autoencoder alone loses of a frame.

        Its relative L2 error over the true frames of a sample, the initial one included, averaged over the samples.
        """
        return {**super().evaluate(dataset), "reconstruction_l2": self.reconstruction_error(dataset)}

    @property
    def reconstruction(self) -> float:
        """Weight of the autoencoder's own error in the loss."""
        return self.config.reconstruction if self.module.autoencoder.trained else 0.0
