"""The prior of a run: the network that it trained, and fields of the law that it was trained on."""

from __future__ import annotations

import copy
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
    """

    network: ProximalNetwork
    problem: DenoisingProblem
    run: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, *grid) of the fields that it was trained on."""
        support = self.problem.clean.support
        assert isinstance(support, Grid)
        return (self.problem.clean.channels, *support.shape)

    @property
    def map_weight(self) -> float:
        """1/σ² for the noise level σ of training: R is about −σ² log p."""
        return 1 / self.problem.noise_level**2

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
    double: Any = copy.deepcopy(network).cpu().to(torch.float64).eval().requires_grad_(False)
    peak = learner.problem.peak
    return TrainedPrior(double if peak == 1 else InUnit(double, peak), learner.problem, Path(directory))


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
