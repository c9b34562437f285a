"""Neural ordinary differential equations on the state itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from sciml.learners.trajectories.autoencoders import Unreduced
from sciml.learners.trajectories.config import TrajectoryConfig
from sciml.learners.trajectories.dynamics import ConvolutionalDynamics, DenseDynamics
from sciml.learners.trajectories.ode_learner import ODELearner
from sciml.learners.trajectories.surrogate import Surrogate

__all__ = ["NeuralODE", "NeuralODEConfig"]


@dataclass(frozen=True)
class NeuralODEConfig(TrajectoryConfig):
    """As `TrajectoryConfig`; narrower, since a field is convolved at every evaluation.

    Parameters
    ----------
    width
        Of the hidden layers, in channels on a grid.
    """

    width: int = 32


class NeuralODE(ODELearner):
    """dz/dt = f(t, z) for the standardised state z (Chen et al., NeurIPS 2018, arXiv 1806.07366).

    f is a perceptron for plain numbers and a convolutional network for fields on a grid.

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.burgers import Burgers
    >>> learner = NeuralODE.from_problem(Burgers(resolution=32))
    >>> u0 = learner.problem.sample(2, torch.Generator().manual_seed(0))
    >>> learner.predict(u0).mean["solution"].shape
    torch.Size([2, 1, 32])
    """

    name: ClassVar[str] = "neural-ode"
    config_type: ClassVar[type] = NeuralODEConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 3e-3, "batch_size": 16}
    config: NeuralODEConfig

    def build(self) -> Surrogate:
        """The state itself is integrated."""
        c, shape, grid = self.config, self.followed.shape, self.followed.grid
        dynamics: ConvolutionalDynamics | DenseDynamics
        if grid is not None:
            dynamics = ConvolutionalDynamics(shape[0], grid, c.width, c.depth, c.activation)
        else:
            dynamics = DenseDynamics(shape[0], c.width, c.depth, c.activation)
        return Surrogate(shape, Unreduced(), dynamics, c.solver, c.torch_dtype)

    def begin(self, states: Tensor) -> None:
        """Standardise channels; what vanishes on a Dirichlet side keeps its zero."""
        grid = self.followed.grid
        held = grid is not None and any("dirichlet" in sides for sides in grid.sides)
        self.module.fit_statistics(states, centred=not held)
