"""The prior of a run: the network that it trained, and fields of the law that it was trained on."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.imaging.denoising import DenoisingProblem
from pde_benchmarks.imaging.image_denoising import ImageDenoising
from pde_benchmarks.problem import Grid
from pde_benchmarks.registry import configure
from sciml.errors import ConfigurationError, LearnerError
from sciml.experiments import Experiment, Silent, with_data
from sciml.learners.proximal import ConditionedNetwork
from sciml.plug_and_play import ProximalNetwork
from sciml.runs import Run

__all__ = ["InUnit", "TrainedPrior", "trained_prior"]

# Away from the seeds that training, validation and test data are drawn with.
FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class TrainedPrior:
    """A learned proximal network, and what it learned from.

    Attributes
    ----------
    network
        In float64, for fields in the unit of the problem.
    problem
        The denoising problem.
    run
        Where it was trained.
    conditioned
        The networks of all noise levels, in float64, for fields in units of their range; None where the run has one
        level.
    """

    network: ProximalNetwork
    problem: DenoisingProblem
    run: Path
    conditioned: ConditionedNetwork | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, *grid) of the fields that it was trained on."""
        support = self.problem.clean.support
        assert isinstance(support, Grid)
        return (self.problem.clean.channels, *support.shape)

    @property
    def map_weight(self) -> float:
        """1/σ² for the noise level σ of the network: R is about −σ² log p."""
        return 1 / self.problem.noise_level**2

    def at(self, noise: float) -> TrainedPrior:
        """The prior at another noise level, where the run was trained for several.

        Parameters
        ----------
        noise
            Standard deviation as a fraction of the range of the fields.

        Raises
        ------
        ConfigurationError
            If the run was trained for one level alone, or not for this one.
        """
        if self.conditioned is None:
            raise ConfigurationError(
                f"{self.run}: trained for the noise level {self.problem.noise:g} alone, so that noise={noise:g} cannot "
                "be chosen: train a prior of several levels by `sciml run denoising --learner lpn-conditioned`, or use "
                "rescaled=S."
            )
        levels = self.conditioned.levels
        if not levels.lowest <= noise <= levels.highest:
            raise ConfigurationError(
                f"noise={noise:g}: {self.run} was trained for noise levels from {levels.lowest:g} to "
                f"{levels.highest:g}, fractions of the range of the fields: choose one of them."
            )
        problem: Any = self.problem
        return dataclasses.replace(
            self,
            network=_in_unit(self.conditioned.at(noise), self.problem.peak),
            problem=dataclasses.replace(problem, noise=noise),
        )

    def truths(self, count: int, seed: int) -> Tensor:
        """Fields ``(count, channels, *grid)`` that were not trained on, float64.

        Raises
        ------
        ConfigurationError
            If the run's images hold fewer.
        """
        if isinstance(self.problem, ImageDenoising):
            experiment: Experiment = configure(Experiment, Run.open(self.run).experiment)
            held_out = with_data(experiment, Silent()).tests["held_out"].outputs["clean"]
            if seed + count > len(held_out):
                raise ConfigurationError(
                    f"seed = {seed}: {self.run} keeps {len(held_out)} images back, numbered from 0: choose one of "
                    "them, or give one by --truth."
                )
            return held_out[seed : seed + count].double()
        return self.problem.draw(count, Generator().manual_seed(FIRST_SEED + seed)).double()


def trained_prior(directory: Path) -> TrainedPrior:
    """The prior in a run directory.

    Raises
    ------
    RunError
        If there is no trained run.
    LearnerError
        If its learner is no learned proximal network.
    """
    run = Run.open(directory)
    learner = run.load_learner()
    network = getattr(learner, "network", None)
    if not isinstance(network, nn.Module) or not hasattr(network, "potential_and_gradient"):
        raise LearnerError(
            f"{directory}: the learner {learner.name} has no prior for reconstructions: train one by `sciml run "
            "denoising --learner lpn`, or on images of your own by `sciml run lpn --data FOLDER`."
        )
    if not isinstance(learner.problem, DenoisingProblem):
        raise LearnerError(f"{directory}: trained on {learner.problem.name}: a prior is learned from denoising.")
    network = _in_unit(_double(network), learner.problem.peak)
    conditioned = getattr(learner, "conditioned", None)
    if conditioned is None:
        return TrainedPrior(network, learner.problem, Path(directory))
    prior = TrainedPrior(network, learner.problem, Path(directory), _double(conditioned))
    return prior.at(learner.problem.noise)


def _double(network: nn.Module) -> Any:
    return copy.deepcopy(network).cpu().to(torch.float64).eval().requires_grad_(False)


def _in_unit(network: ProximalNetwork, peak: float) -> ProximalNetwork:
    return network if peak == 1 else InUnit(network, peak)


@dataclass(frozen=True)
class InUnit:
    """The network of fields x of range s, from one that knows x/s: s f(x/s), the gradient of s² ψ(x/s)."""

    network: ProximalNetwork
    scale: float

    def __call__(self, v: Tensor) -> Tensor:
        return self.scale * self.network(v / self.scale)

    def potential_and_gradient(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """ψ(v) ``(B,)`` and f(v)."""
        psi, f = self.network.potential_and_gradient(v / self.scale)
        return self.scale**2 * psi, self.scale * f

    @property
    def strong_convexity(self) -> float:
        """That of the network."""
        return self.network.strong_convexity
