"""Neural stochastic differential equations on latent states: trajectories with an honest spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pde_benchmarks.metrics import coverage
from pde_benchmarks.problem import Batch
from sciml.capabilities import Capabilities, Offer
from sciml.errors import ConfigurationError, LearnerError
from sciml.learner import Prediction
from sciml.learners.neural_ode import SolverError
from sciml.learners.neural_sde import independent_seeds
from sciml.learners.trajectories.autoencoders import autoencoder_named
from sciml.learners.trajectories.dynamics import DenseDynamics
from sciml.learners.trajectories.latent_space import LatentSpaceConfig
from sciml.learners.trajectories.learner import TrajectoryLearner, not_followed
from sciml.learners.trajectories.noise_strength import NoiseStrength
from sciml.learners.trajectories.penalties import penalty_named
from sciml.learners.trajectories.scored_paths import ScoredPaths
from sciml.learners.trajectories.stochastic_surrogate import StochasticSurrogate

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["LatentSDE", "LatentSDEConfig"]

# Of an ordinary solve's penalties, those that a stochastic one can measure.
_PENALTIES = ("none", "error", "error-mean", "error-square")
# Rows of a batch, paths included.
_ROWS = 8192


@dataclass(frozen=True)
class LatentSDEConfig(LatentSpaceConfig):
    """As `LatentSpaceConfig`, the noise, and how many paths are followed.

    Parameters
    ----------
    rtol, atol
        As in `sciml.learners.neural_sde.sdesolve`, in training as in prediction; the order is 1, so they are loose.
    regularizer
        Penalty on the dynamics: ``none``, ``error``, ``error-mean`` or ``error-square``.
    noise
        Strength of the noise before training, in deviations of the data per root of the whole time.
    training_paths
        Paths that every trajectory of a batch is compared with, at least 2.
    paths
        Paths from which a prediction takes mean and standard deviation, at least 2.
    samples
        How many of these paths a prediction hands out as well.
    seed
        Of the paths of predictions; every initial state is followed on the same ones.

    Raises
    ------
    ConfigurationError
        If a value is unknown or out of its range.
    """

    rtol: float = 1e-2
    atol: float = 1e-2
    noise: float = 0.1
    training_paths: int = 4
    paths: int = 32
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regularizer not in _PENALTIES:
            raise ConfigurationError(f"regularizer = {self.regularizer!r}: use {', '.join(_PENALTIES)}.")
        for name in ("rtol", "atol", "noise"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: a positive, finite number is expected.")
        for name in ("training_paths", "paths"):
            if getattr(self, name) < 2:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: at least 2 are needed for a spread.")
        if not 0 <= self.samples <= self.paths:
            raise ConfigurationError(f"samples = {self.samples}: a number from 0 to paths = {self.paths} is expected.")


class LatentSDE(TrajectoryLearner):
    """State → latent state → dz = f(t, z) dt + g(t, z) dW with perceptrons f and g → state, on many paths.

    Trained by the energy score of a few paths: it is proper whatever the law, needs no density, has no bias from using
    few paths (as variances in a likelihood would have), and its gradients are bounded. What the latent space leaves out
    counts as independent noise of the size that the training data shows. The spread is honest for what it was trained
    on; with too few trajectories new ones lie farther away, and `evaluate` says so (``coverage_90`` below 0.9).

    Examples
    --------
    >>> import torch
    >>> from pde_benchmarks.burgers import Burgers
    >>> learner = LatentSDE.from_problem(Burgers(resolution=32), LatentSDEConfig(latent=4, samples=3))
    >>> found = learner.predict(learner.problem.sample(2, torch.Generator().manual_seed(0)))
    >>> found.std["solution"].shape, found.samples["solution"].shape
    (torch.Size([2, 1, 32]), torch.Size([2, 3, 1, 32]))
    """

    name: ClassVar[str] = "neural-sde"
    capabilities: ClassVar[Capabilities] = Capabilities(uncertainty=Offer(), processes=Offer())
    config_type: ClassVar[type] = LatentSDEConfig
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-2, "batch_size": 64}
    config: LatentSDEConfig
    module: StochasticSurrogate

    def build(self) -> StochasticSurrogate:
        """Coefficients of modes follow the equation."""
        c, shape = self.config, self.followed.shape
        latent = min(c.latent, math.prod(shape))
        autoencoder = autoencoder_named(c.autoencoder)(shape, latent, c.width)
        drift = DenseDynamics(latent, c.width, c.depth, c.activation)
        diffusion = NoiseStrength(latent, c.width, 1, c.activation, c.noise)
        solver = {"rtol": c.rtol, "atol": c.atol, "max_steps": c.max_steps}
        return StochasticSurrogate(shape, autoencoder, drift, diffusion, solver, c.torch_dtype)

    def begin(self, states: Tensor) -> None:
        """Standardise channels, find the modes, and measure what they leave out."""
        self.module.fit_statistics(states, centred=True)
        self.module.autoencoder.begin(self.module.standardised(states))
        self.module.fit_residual(states)

    @property
    def reconstruction(self) -> float:
        """Weight of the autoencoder's own error in the loss."""
        return self.config.reconstruction if self.module.autoencoder.trained else 0.0

    def objective(self) -> ScoredPaths:
        """The energy score of a few paths, and the penalty."""
        c, times = self.config, self.time_scale(self.followed.instants)
        penalty = penalty_named(c.regularizer)
        return ScoredPaths(times, self.module.scale, c.training_paths, self.reconstruction, penalty)

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = _ROWS) -> Prediction:
        """Mean, standard deviation and as many paths as `LatentSDEConfig.samples` at the problem's instants.

        The deviation is that of a new trajectory from the mean of finitely many paths; the paths are without what the
        latent space leaves out. Raises as `TrajectoryLearner.predict` does.
        """
        found = self._spread(inputs, self.time_scale(self.followed.instants), batch_size)
        paths = found.paths if self.followed.timed else found.paths[:, :, 0]
        samples = Batch({self.followed.later.name: paths}) if self.config.samples else None
        return Prediction(self._as_outputs(found.mean), self._as_outputs(found.std), samples)

    @torch.no_grad()
    def predict_at(self, inputs: Batch, instants: Sequence[float], batch_size: int = _ROWS) -> Prediction:
        """As `predict`, at any increasing instants after 0; until the last of training they lie on the same paths."""
        found, name = self._spread(inputs, self.time_scale(instants), batch_size), self.followed.later.name
        samples = Batch({name: found.paths}) if self.config.samples else None
        return Prediction(Batch({name: found.mean}), Batch({name: found.std}), samples)

    @torch.no_grad()
    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """Errors of the mean, coverage of the spread, evaluations of the drift on a path, and what encoding loses."""
        found = self._spread(dataset.inputs, self.time_scale(self.followed.instants), _ROWS)
        mean, std = (self._as_outputs(part) for part in (found.mean, found.std))
        name = self.followed.later.name
        return {
            **self.problem.metrics(Prediction(mean).mean, dataset.outputs),
            "coverage_90": coverage(mean[name], std[name], dataset.outputs[name]).mean().item(),
            "evaluations_mean": found.evaluations.mean().item(),
            "evaluations_worst": float(found.evaluations.max()),
            "reconstruction_l2": self.reconstruction_error(dataset),
        }

    def _followed(self, inputs: Batch, times: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        found = self._spread(inputs, times, batch_size)
        return found.mean, found.evaluations

    def _spread(self, inputs: Batch, times: Tensor, batch_size: int) -> _Spread:
        given, paths = self._initial(inputs), self.config.paths
        self.module.eval()
        rows = max(1, min(batch_size, _ROWS // paths))
        shape = (len(times), *self.followed.shape)
        empty = given.new_zeros(0, *shape)
        parts = [_Spread(empty, empty, given.new_zeros(0, self.config.samples, *shape), torch.zeros(0).double())]
        for start in range(0, len(given), rows):
            parts.append(self._part(given[start : start + rows], times, start))
        return _Spread(*(torch.cat(pieces) for pieces in zip(*parts, strict=True)))

    def _part(self, given: Tensor, times: Tensor, start: int) -> _Spread:
        initial, paths = given.to(self.module.scale), self.config.paths
        # The same paths for every state: a prediction depends neither on its batch nor on its place in it.
        seeds = independent_seeds(self.config.seed, paths, initial.device).expand(len(initial), -1)
        try:
            found = self.module(initial, times.to(initial.device), seeds)
        except SolverError as error:
            raise LearnerError(not_followed(start + error.sample // paths, error)) from error
        variance = found.states.var(dim=1) * (1 + 1 / paths) + found.residual.square()
        evaluations = found.solution.stats.nfe.cpu().double().unflatten(0, (-1, paths)).mean(1)
        kept = found.states[:, : self.config.samples]
        return _Spread(found.states.mean(1).to(given), variance.sqrt().to(given), kept.to(given), evaluations)


class _Spread(NamedTuple):
    """Mean and deviation ``(B, M, *shape)``, some paths ``(B, K, M, *shape)``, evaluations on a path ``(B,)``."""

    mean: Tensor
    std: Tensor
    paths: Tensor
    evaluations: Tensor
