"""Learned proximal networks for a range of noise levels, trained at all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Generator, Tensor, nn

from pde_benchmarks.imaging.denoising import DenoisingProblem
from pde_benchmarks.problem import Batch, Problem
from sciml.errors import LearnerError
from sciml.learner import Prediction
from sciml.learners.proximal.averaged import AveragedNetwork
from sciml.learners.proximal.conditioned_network import ConditionedNetwork
from sciml.learners.proximal.convex_network import ConvexNetwork
from sciml.learners.proximal.learner import CALIBRATION_FIELDS, LPN, LPNConfig, calibrate
from sciml.learners.proximal.noise_levels import NoiseLevels
from sciml.learners.proximal.prior import PriorValue
from sciml.plug_and_play import Prior
from sciml.plug_and_play.inversion import per_sample

if TYPE_CHECKING:
    from pde_benchmarks.datasets import Dataset

__all__ = ["ConditionedLPN", "ConditionedLPNConfig"]


@dataclass(frozen=True)
class ConditionedLPNConfig(LPNConfig):
    """The convex potential, how it depends on the noise level, and how it is taught.

    Parameters
    ----------
    widths, strides, kernel, filters, beta, alpha, loss, warm_start, average
        As in `LPNConfig`.
    gamma
        First and last width of the matching loss in units of the noise level.
    noise_levels
        Lowest and highest standard deviation of the noise, as fractions of the range of the fields.
    level_functions
        Number of B-splines of the level's logarithm.
    """

    gamma: tuple[float, float] = (1.6, 0.4)
    noise_levels: tuple[float, float] = (0.02, 0.2)
    level_functions: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        # Refuses what is no range.
        _ = self.levels

    @property
    def levels(self) -> NoiseLevels:
        """The range, with functions on it."""
        lowest, highest = self.noise_levels
        return NoiseLevels(lowest, highest, self.level_functions)


class ConditionedLPN(LPN):
    """A learned proximal network f(·; σ) for every noise level σ of a range.

    For each level it is the proximal operator of a function R_σ, which training brings close to −σ² log p. Where no
    level is named, it is the problem's.
    """

    name: ClassVar[str] = "lpn-conditioned"
    config_type: ClassVar[type] = ConditionedLPNConfig
    config: ConditionedLPNConfig

    def __init__(self, problem: Problem, config: ConditionedLPNConfig) -> None:
        super().__init__(problem, config)
        lowest, highest = config.noise_levels
        if not lowest <= self.problem.noise <= highest:
            raise LearnerError(
                f"noise = {self.problem.noise:g} of {problem.name} is outside of noise_levels = ({lowest:g}, "
                f"{highest:g}): widen the range, or choose a noise in it."
            )

    @property
    def conditioned(self) -> ConditionedNetwork:
        """F(v; σ), of fields and levels in units of the fields' range."""
        network = self.module.network
        assert isinstance(network, ConditionedNetwork)
        return network

    @property
    def network(self) -> ConvexNetwork:
        """That of the problem's noise level."""
        return self.conditioned.at(self.problem.noise)

    def build(self) -> nn.Module:
        return AveragedNetwork(ConditionedNetwork(self.convex_network(), self.config.levels), self.config.average)

    def begin(self, clean: Tensor, seed: int) -> None:
        """Scale the potential, at each level, so that the untrained network keeps the size of fields."""
        x = clean[:CALIBRATION_FIELDS].to(torch.float32)
        network, levels, generator = self.conditioned, self.config.levels, Generator().manual_seed(seed)
        scales = [calibrate(network.at(s), with_noise(x, s, generator), x).double() for s in levels.spread.tolist()]
        factors = torch.linalg.solve(levels.basis(levels.spread), torch.stack(scales).cpu())
        with torch.no_grad():
            for gain in network.gains:
                gain.mul_(factors.clamp(min=0).to(gain)[:, None])

    def loss(self, module: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Tensor:
        """Of the errors in units of the noise, at fields with fresh noise of random levels."""
        clean = batch["clean"]
        sigma = self.config.levels.draw(len(clean), generator).to(clean)
        error = module(with_noise(clean, sigma, generator), sigma) - clean
        return self.loss_of(error / per_sample(sigma, error))

    @torch.no_grad()
    def predict(self, inputs: Batch, batch_size: int = 32, noise: float | Tensor | None = None) -> Prediction:
        """The fields without their noise, in the dtype of the noisy ones.

        Parameters
        ----------
        inputs
            ``noisy`` fields.
        batch_size
            Samples at a time.
        noise
            Its standard deviation as a fraction of the range of the fields, one number or one a sample; None: the
            problem's.

        Raises
        ------
        LearnerError
            If the fields have other channels or axes, or are not finite, or a level is outside of the range.
        """
        given = self.checked(inputs["noisy"])
        levels = self.config.levels.checked(self.problem.noise if noise is None else noise, given)
        levels = levels.expand(len(given))
        return self.predicted(given, batch_size, lambda v, rows: self.module(v, levels[rows].to(v)))

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """Errors on a held-out data set at the noise level of its problem, which may be another one."""
        problem = dataset.problem
        if not isinstance(problem, DenoisingProblem):
            raise LearnerError(f"{self.name} removes noise, and these are data of {problem.name}.")
        return problem.metrics(self.predict(dataset.inputs, noise=problem.noise).mean, dataset.outputs)

    def prior(self, noise: float | None = None) -> Prior:
        """What plug-and-play iterations take, at a noise level (None: the problem's), for fields in its unit."""
        return self.prior_of(self._at(noise))

    def prior_value(self, x: Tensor, noise: float | None = None, *, throw: bool = True) -> PriorValue:
        """R_σ(x) of fields ``(B, channels, *grid)`` in the problem's unit, up to a constant of the level."""
        return self.prior_value_of(self._at(noise), x, throw)

    def _at(self, noise: float | None) -> ConvexNetwork:
        return self.conditioned.at(self.problem.noise if noise is None else noise)


def with_noise(clean: Tensor, sigma: float | Tensor, generator: Generator) -> Tensor:
    """Fields with fresh noise of a level, or of one a sample."""
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float32).to(clean)
    return clean + per_sample(sigma, clean) * noise
