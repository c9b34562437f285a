"""Learned proximal networks: denoisers that are proximal operators of a prior that can be read off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pde_benchmarks.problem import Problem
from sciml.capabilities import Capabilities, Offer
from sciml.errors import ConfigurationError
from sciml.learners.proximal.averaged import AveragedNetwork
from sciml.learners.proximal.convex_network import ConvexNetwork, FieldConvexNetwork
from sciml.learners.proximal.denoiser import DenoisingLearner
from sciml.learners.proximal.matching import MatchingSchedule, mean_square
from sciml.learners.proximal.prior import PriorValue, prior_value
from sciml.plug_and_play import LearnedPrior, Prior, RescaledPrior

__all__ = ["LPN", "LPNConfig"]

CALIBRATION_FIELDS = 32
_SMALLEST_SCALE = 1e-4


@dataclass(frozen=True)
class LPNConfig:
    """The convex potential, and how it is taught.

    Parameters
    ----------
    widths, strides
        Channels of the levels of the potential, and by how much each coarsens the grid of the one before.
    kernel, filters
        Points along an axis of the convolutions between levels and of those that see the field.
    beta
        Sharpness of the activation, in units of one over the range of the fields.
    alpha
        Weight of ‖x‖², which makes the network invertible: no eigenvalue of its Jacobian is below 2 alpha.
    loss
        ``matching`` for the posterior mode, whose prior is −σ² log p; ``squares`` for the mean.
    warm_start, gamma
        Share of the training by absolute values, then first and last width of the matching loss in units of the range.
    average
        Decay of the running average of the weights.
    """

    widths: tuple[int, ...] = (16, 16, 16)
    strides: tuple[int, ...] = (1, 1, 2)
    kernel: int = 3
    filters: int = 5
    beta: float = 30.0
    alpha: float = 5e-4
    loss: str = "matching"
    warm_start: float = 0.5
    gamma: tuple[float, float] = (0.16, 0.04)
    average: float = 0.99

    def __post_init__(self) -> None:
        if self.loss not in ("matching", "squares"):
            raise ConfigurationError(f"loss = {self.loss!r}: use matching or squares.")
        if not 0 <= self.average < 1:
            raise ConfigurationError(f"average = {self.average}: a decay in [0, 1) is expected, as 0.99.")
        if len(self.widths) != len(self.strides) or not self.widths or self.strides[0] != 1:
            raise ConfigurationError(
                f"widths = {self.widths}, strides = {self.strides}: one stride a level is expected, the first 1."
            )
        # Refuses what is no schedule.
        _ = self.schedule

    @property
    def schedule(self) -> MatchingSchedule:
        """Which loss when."""
        first, last = self.gamma
        return MatchingSchedule(self.warm_start, (first, last))


class LPN(DenoisingLearner):
    """Learned proximal network (Fang, Buchanan & Sulam 2024, https://arxiv.org/abs/2310.14344).

    The network is the gradient f of a convex potential, hence the proximal operator of a function R, which training by
    proximal matching brings close to −σ² log p, for noise of standard deviation σ and the law p of the clean fields.
    """

    name: ClassVar[str] = "lpn"
    capabilities: ClassVar[Capabilities] = replace(DenoisingLearner.capabilities, inverse=Offer())
    config_type: ClassVar[type] = LPNConfig
    training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 2e-2, "batch_size": 16, "weight_decay": 0.0, "warmup": 0.05, "final_fraction": 0.02,
    }  # fmt: skip
    config: LPNConfig
    module: AveragedNetwork

    def __init__(self, problem: Problem, config: LPNConfig) -> None:
        super().__init__(problem, config)
        self._progress = 0.0

    @property
    def network(self) -> ConvexNetwork:
        """F = ∇ψ, of fields in units of their range."""
        network = self.module.network
        assert isinstance(network, ConvexNetwork)
        return network

    def build(self) -> nn.Module:
        return AveragedNetwork(self.convex_network(), self.config.average)

    def convex_network(self) -> ConvexNetwork:
        """As configured, untrained."""
        c = self.config
        return FieldConvexNetwork(
            self.dim, self.channels, c.widths, c.strides, c.kernel, c.filters, beta=c.beta, alpha=c.alpha
        )

    def begin(self, clean: Tensor, seed: int) -> None:
        """Scale the potential so that the untrained network keeps the size of fields."""
        x = clean[:CALIBRATION_FIELDS].to(torch.float32)
        calibrate(self.network, self.noisy(x, torch.Generator().manual_seed(seed)), x)

    def prepare(self, progress: float) -> None:
        self._progress = progress
        self.module.advance()

    def finish(self) -> None:
        self.module.settle()

    def loss_of(self, error: Tensor) -> Tensor:
        if self.config.loss == "squares":
            return mean_square(error)
        return self.config.schedule.loss(error, self._progress)

    def denoised(self, v: Tensor) -> Tensor:
        answer: Tensor = self.module(v)
        return answer

    def prior(self) -> Prior:
        """What plug-and-play iterations take, for fields in the problem's unit; of the network's dtype."""
        return self.prior_of(self.network)

    def prior_value(self, x: Tensor, *, throw: bool = True) -> PriorValue:
        """R(x) of fields ``(B, channels, *grid)`` in the problem's unit, up to a constant."""
        return self.prior_value_of(self.network, x, throw)

    def prior_of(self, network: ConvexNetwork) -> Prior:
        """The prior of a network of fields in units of their range, for fields in the problem's unit."""
        prior = LearnedPrior(network)
        return prior if self.problem.peak == 1 else RescaledPrior(prior, self.problem.peak)

    def prior_value_of(self, network: ConvexNetwork, x: Tensor, throw: bool) -> PriorValue:
        """The value of that prior at fields in the problem's unit."""
        peak = self.problem.peak
        found = prior_value(network, x / peak, throw=throw)
        return PriorValue(peak**2 * found.value, found.residual, found.status)


@torch.no_grad()
def calibrate(network: ConvexNetwork, noisy: Tensor, clean: Tensor) -> Tensor:
    """Multiply the last weights by the number that brings f(noisy) closest to the clean fields, and return it."""
    found = network(noisy.to(next(network.parameters()).device)).flatten()
    scale = (found @ clean.to(found).flatten()) / (found @ found).clamp(min=torch.finfo(found.dtype).tiny)
    scale = scale.clamp(min=_SMALLEST_SCALE)
    for weight in network.readouts:
        weight.mul_(scale)
    return scale
